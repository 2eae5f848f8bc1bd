"""The text that `elevator assign --help` prints. Other runs start faster because they do not import this module."""

from elevator import _assign

DIFFERENCES = {
    "final newline": "Standard input may end without a newline. The original always drops the last character.",
    "white space": "White space may surround the input, and a line may end with CR LF. The original rejects both.",
    "surrogates": "A pair of \\u escapes may encode any character. The original rejects many above U+3FFFF.",
    "size": "A building has at most 1024 floors and 500 cars. The original has no limit.",
    "empty id": "With an empty car id, the original may run forever. This command gives up after 4194304 moves.",
    "output": "The order of the cars, and the escapes in their ids, may differ.",
    "options": "The original ignores --algorithm, --jsonl, --serve and --help.",
}
"""The known differences from the original, by topic. A recorded run of the original or a test shows each of them."""

USAGE = f"""\
usage: elevator assign [--input JSON] [options]

Assign hall calls like TTK4145's hall_request_assigner (the original). Without --input, read a line of standard input.

  -i, --input JSON             hallRequests and states, in the format of the original
  --travelDuration MS          travel time from one floor to the next; default: {_assign.TRAVEL_MS}
  --doorOpenDuration MS        dwell time of the door; default: {_assign.DOOR_MS}
  --clearRequestType TYPE      hall calls that a stop serves: inDirn (in the car's direction) or all; default: inDirn
  --includeCab                 add the cab requests to the output as a third column
  --algorithm NAME             reference (the original's) or plan (shorter waits); default: reference
  --jsonl                      answer each line of standard input with one line
  --serve PATH                 answer lines in the same way on a Unix socket

As in the original, options may be in upper or lower case, -iJSON and --input=JSON are allowed, and other options may
stand between -i and its value. Unknown options are ignored.

Differences from the original:
""" + "\n".join(f"  - {difference}" for difference in DIFFERENCES.values())
