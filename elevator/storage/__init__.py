"""Durable storage of a node's record: its calls, its incarnation, and its door if that may be open.

- records.py converts records to text and back.
- store.py keeps that text in SQLite, so that it survives a power cut.
- recorder.py runs the process that waits for the disk, so that a running node does not.
- recorder_client.py is the worker's side of the recorder's protocol, without I/O.
- strict.py makes the strict converter of records, and also that of the settings (runtime/config.py).

Imports core, net (to check entries, which datagrams contain too) and processes. Records of older versions must stay
readable. A damaged record is renamed, not overwritten.
"""
