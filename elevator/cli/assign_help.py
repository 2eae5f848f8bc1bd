"""What `elevator assign --help` prints. A module of its own, because an answer must not wait for it."""

from elevator import _assign

DIFFERENCES = {
    "final newline": "Standard input may end without a newline. The original drops the last character of its line.",
    "white space": "White space may surround the input, and a line may end with CR LF. The original refuses that.",
    "surrogates": "A pair of \\u escapes may be any character. The original refuses many above U+3FFFF.",
    "size": "A building has at most 1024 floors and 500 cars. The original has no limit.",
    "empty id": "A simulation ends after 4194304 moves. With an empty id the original may never end.",
    "output": "The order of the cars in the output, and the escapes in their ids, may differ.",
    "options": "The original does not have --algorithm, --jsonl, --serve and --help, and ignores them.",
}
"""Where this command and the original are known to differ. A test holds them against recorded calls of the original."""

USAGE = f"""\
usage: elevator assign [--input JSON] [options]

Share out hall calls as the course's hall_request_assigner does. Without --input one line is read from standard input.

  -i, --input JSON             hallRequests and states, as the original takes them
  --travelDuration MS          from one floor to the next ({_assign.TRAVEL_MS})
  --doorOpenDuration MS        how long a door stays open ({_assign.DOOR_MS})
  --clearRequestType TYPE      what a stop clears: inDirn, or all (inDirn)
  --includeCab                 put the cab requests into the output as a third column
  --algorithm NAME             reference, or plan, with shorter waits (reference)
  --jsonl                      answer every line of standard input with a line
  --serve PATH                 do that on a Unix socket

Options are read as the original reads them: in any case of letters, -iJSON, --input=JSON, and with other options
between an option and its value. Unknown options are ignored.

Differences from the original:
""" + "\n".join(f"  - {difference}" for difference in DIFFERENCES.values())
