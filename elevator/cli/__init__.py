"""The commands of the program. `elevator/__main__.py` imports a command's module when the user runs that command.

Start with run_node.py: it has the node's options, which `elevator doctor` shares, and the list of commands.
arguments.py has the argument parser that all commands share. Some commands consist of several modules: assign_help and
assign_server, demo_nodes and demo_picture, dispatch_report, doctor_network and finding, simulator_options, watch_view.

This package may import all other packages, and none of them imports it. Other programs depend on the options, on the
exit statuses, and on the output of `watch --json`. The statuses are 0 for success, 1 if a check or a test failed or
`assign` got invalid input, 2 if the arguments are bad or the command cannot start, 130 after an interrupt, and 141 if
the reader of the output has closed its pipe.
"""
