"""`elevator exam`: examine any controller that speaks the elevator server's protocol."""

import random
import shlex
import subprocess
import sys
import time
from argparse import ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from elevator.building.control import Refused
from elevator.cli.arguments import Arguments, integer
from elevator.cli.subject_options import PLACEHOLDERS, add_options, split, subject
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.exam import report, report_page
from elevator.exam.bench import ExamTest
from elevator.exam.catalogue import TESTS
from elevator.exam.examiner import ExamSetting, examine, skipped
from elevator.exam.results import ExamReport, Result
from elevator.exam.sandbox import enter, obstacle
from elevator.exam.setup import BadCommand, Subject
from elevator.processes.child import Signals

EXAMPLES = """\
examples:
  elevator exam -- ./mycontroller --id {id} --port {port}
  elevator exam --only kill,loss50,obstruction --html report.html -- go run . -id={id} -port={port}
  elevator exam --per-car role=Master,Backup,Regular -- ./mycontroller {role} {port}
  elevator exam --env ELEVATOR_ID={id} --first 'go build -o /tmp/mine .' -- /tmp/mine

"""


class Interrupted(Exception):
    """Raised to end the exam on Ctrl-C or SIGTERM."""


def main(argv: list[str]) -> int:
    """Run `elevator exam`; return the exit status: 0 if the controller passed, 1 if not, 2 on a bad argument."""
    options, command = split(argv)
    parser = _parser()
    arguments = parser.parse_args(options)
    if arguments.list:
        print("\n".join(f"{test.name:14}{test.title}" for test in TESTS.values()))
        return 0
    if not command:
        parser.error("the controller's command is missing: elevator exam [OPTIONS] -- COMMAND")
    signals = Signals()

    def meanwhile() -> None:
        if signals.received is not None:
            raise Interrupted

    try:
        return _run(arguments, command, meanwhile)
    except (BadCommand, Refused) as refusal:
        print(f"elevator exam: {refusal}", file=sys.stderr)
        return 2
    except Interrupted:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> Arguments:
    parser = Arguments(
        prog="elevator exam",
        usage="elevator exam [OPTIONS] -- COMMAND",
        description="Examine a controller: run a copy for each car, hurt the group, and judge what its panels show.",
        epilog=EXAMPLES + PLACEHOLDERS,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--cars", type=integer(1, MAX_CARS), default=3, help="number of cars and controllers; default: 3")
    add("--floors", type=integer(3, MAX_FLOORS), default=4, help="number of floors; default: 4")
    add("--seed", type=integer(0, 2**63), help="seed of all random choices; default: random")
    add("--only", type=_tests, metavar="TEST,TEST", help="run only these tests; see --list")
    add("--list", action="store_true", help="list the tests and exit")
    add("--first", metavar="COMMAND", help="shell command to run before the exam, such as a build")
    add("--versus", metavar="COMMAND", help="examine this controller too, with the same seed, and compare")
    add("--keep", type=Path, metavar="DIR", help="keep the controllers' logs and directories here")
    add("--json", type=Path, metavar="FILE", help="write the results to FILE")
    add("--html", type=Path, metavar="FILE", help="write a report with timelines to FILE")
    add_options(parser)
    return parser


def _tests(text: str) -> list[ExamTest]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in TESTS]:
        raise ArgumentTypeError(f"there is no test {unknown[0]!r}; --list lists them")
    return [test for test in TESTS.values() if test.name in names]


def _run(arguments: Namespace, command: list[str], meanwhile: Callable[[], None]) -> int:
    commands = [command, *([shlex.split(arguments.versus)] if arguments.versus else [])]
    subjects = [subject(arguments, each) for each in commands]
    if arguments.first is not None and (status := subprocess.run(arguments.first, shell=True, check=False).returncode):  # noqa: S602  # the user's own command
        raise BadCommand(f"the command of --first failed with status {status}")
    why_not = obstacle()
    if why_not:
        print(f"{why_not}\nThe tests that need a network are skipped.", file=sys.stderr)
    else:
        enter()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    setting = ExamSetting(arguments.cars, arguments.floors, seed, not why_not, arguments.keep)
    tests = arguments.only or list(TESTS.values())
    reports = [_examine(tests, each, setting, why_not, meanwhile) for each in subjects]
    print("", *(report.summary(each) for each in reports), sep="\n")
    if len(reports) == 2:
        print(report.versus(*reports))
    try:
        if arguments.json is not None:
            arguments.json.write_text(report.as_json(*reports))
        if arguments.html is not None:
            arguments.html.write_text(report_page.page(*reports))
    except OSError as error:
        raise BadCommand(f"cannot write {error.filename}: {error.strerror}") from None
    return int(not reports[0].passed)


def _examine(
    tests: Sequence[ExamTest], subject: Subject, setting: ExamSetting, why_not: str, meanwhile: Callable[[], None]
) -> ExamReport:
    """Run all *tests*, and print a line for each."""
    started, began_s = datetime.now().astimezone(), time.monotonic()
    results: list[Result] = []
    for number, test in enumerate(tests):
        left_s = sum(each.seconds for each in tests[number:])
        if sys.stderr.isatty():
            print(report.progress(number + 1, len(tests), test.title, left_s), end="\r", file=sys.stderr, flush=True)
        if test.needs_network and not setting.has_network:
            result = skipped(test, why_not)
        elif test.needs_network and setting.cars < 2:
            result = skipped(test, "it needs two cars")
        else:
            result = examine(test, subject, setting, meanwhile)
        results.append(result)
        print(report.line(result), flush=True)
    seconds = round(time.monotonic() - began_s)
    when = started.strftime("%Y-%m-%d %H:%M")
    return ExamReport(
        shlex.join(subject.command), setting.cars, setting.floors, setting.seed, when, seconds, tuple(results)
    )
