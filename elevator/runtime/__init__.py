"""One running node: its settings, its main loop and its log.

Start with loop.py. It waits for input or the next deadline, then takes one `turn`. config.py reads and checks the
settings. event_log.py decides which changes of the node to log. log_handler.py writes the lines, or drops them rather
than block the node.

Imports core, net, processes, storage and hardware. All decisions about elevators are in core.
"""
