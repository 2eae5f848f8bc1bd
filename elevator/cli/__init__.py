"""The commands, one module each; `elevator/__main__.py` imports a command when the user asks for it.

Start with run_node.py, the command without a name. arguments.py has the argument parser that all commands share.

May import everything; nothing imports it. Options, exit statuses (0, 1 for a finding, 2 for bad arguments, 130 when
interrupted) and the output of `watch --json` are what other programs depend on.
"""
