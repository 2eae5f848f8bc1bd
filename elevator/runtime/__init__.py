"""One running node: its settings, its main loop and its log.

Start with loop.py. It waits for the elevator, the broadcast socket, the recorder and the next deadline, then takes one
`turn`. config.py reads and checks the settings. event_log.py decides which changes of the node to log; log_handler.py
writes the lines and never blocks.

Imports core, net, processes, storage and hardware. All decisions about elevators are in core.
"""
