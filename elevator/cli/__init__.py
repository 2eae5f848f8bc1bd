"""The commands. `elevator/__main__.py` imports the module of a command when the user asks for it.

Start with run_node.py: the node itself, the doctor's arguments and the list of commands. arguments.py has the argument
parser that commands share. Larger commands have more modules: assign_help and assign_server, demo_nodes and
demo_picture, dispatch_report, doctor_network and finding, simulator_options, watch_view.

May import everything; no other package imports it. Options, exit statuses (0, 1 for a finding, 2 for bad arguments, 130
when interrupted, 141 when nobody reads the output) and the output of `watch --json` are what other programs depend on.
"""
