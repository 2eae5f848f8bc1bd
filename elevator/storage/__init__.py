"""What survives a power cut: the record of a node, its calls included.

Start with records.py, the record as text; store.py keeps that text in SQLite; recorder.py is the process that waits for
the disk, so that the worker never does, and the worker's socket to it. recorder_client.py is the worker's side of their
protocol, without I/O.

Imports core, net (for the notation of calls) and processes. Records of older versions must stay readable, and a damaged
one is set aside, never deleted.
"""
