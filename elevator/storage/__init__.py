"""Durable storage: a node's record of its calls, which survives a power cut.

- records.py encodes a record as text.
- store.py keeps that text in SQLite.
- recorder.py runs the process that waits for the disk, so that the worker never does.
- recorder_client.py is the worker's side of the recorder's protocol, without I/O.

Imports core, net (to check entries, which datagrams contain too) and processes. Records of older versions must stay
readable. A damaged record is renamed, not overwritten.
"""
