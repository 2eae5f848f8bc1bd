"""One running node: settings, the select loop and the log.

Start with loop.py: it waits for the elevator, the broadcast port, the recorder and the nearest deadline, then takes one
`turn`. config.py checks every setting; event_log.py says which changes of a node are worth a line; log_handler.py
writes the lines without ever waiting for who reads them.

Imports core, net, processes, storage and hardware. Nothing here decides anything about elevators: that is in core.
"""
