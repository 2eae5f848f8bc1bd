"""The commands of the program. `elevator/__main__.py` imports a command's module when the user runs that command.

Start with run_node.py: it defines the options of a node and lists the other commands. arguments.py defines the argument
parser of all commands except `assign`, which parses its options as the course's hall_request_assigner does. This
package may import all others; none of them imports it.

Other programs depend on the options, the JSON of `assign`, `exam --json` and `watch --json`, and these exit statuses:

  0  success
  1  a check, a test or a demo failed; for `assign`, any error
  2  the arguments are bad, the command cannot do its work, or an exam is incomplete
130  interrupted by the user, unless the command normally runs until it is interrupted, as a node does
141  the reader of the output has closed its pipe
"""
