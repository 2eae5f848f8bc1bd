"""`elevator exam`: examines any controller that speaks the elevator server's protocol."""

import errno
import os
import random
import shlex
import subprocess
import sys
import time
import traceback
from argparse import ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from attrs import evolve

from elevator.building.control import Refused
from elevator.cli.arguments import Arguments, integer
from elevator.cli.exam_progress import Progress
from elevator.cli.subject_options import PLACEHOLDERS, add_options, seconds, split, subject
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.exam import report, report_page
from elevator.exam.catalogue import TESTS
from elevator.exam.examiner import ExamSetting, examine, skipped, unjudged
from elevator.exam.results import ExamReport, Result
from elevator.exam.rig import READY_S, ExamTest
from elevator.exam.sandbox import enter_namespace, obstacle
from elevator.exam.setup import BadCommand, Subject, check_program
from elevator.processes.child import Signals

EXAMPLES = """\
examples:
  elevator exam -- ./mycontroller --id {id} --port {port}
  elevator exam --only kill,loss50,obstruction --html report.html -- go run . -id={id} -port={port}
  elevator exam --per-car role=Master,Backup,Regular -- ./mycontroller {role} {port}
  elevator exam --env ELEVATOR_ID={id} --first 'go build -o /tmp/mine .' -- /tmp/mine

"""
READY = f"how long a controller may take to connect and to bring its car to a floor; default: {READY_S:g}"


INTERRUPTED_STATUS = 130
"""The exit status that a shell reports for a process killed by SIGINT."""


class Interrupted(Exception):
    """A termination signal, such as SIGINT (Ctrl-C) or SIGTERM, ends the exam."""


def main(argv: list[str]) -> int:
    """Run `elevator exam`; return the exit status.

    It is 0 if the controller passed, 1 if it failed or all tests were skipped, 2 if the exam could not run or is
    incomplete, and 130 if a termination signal has arrived. The controller of `--versus` does not affect it.
    """
    options, command = split(argv)
    parser = _parser()
    arguments = parser.parse_args(options)
    if arguments.list:
        print("\n".join(f"{test.name:14}{test.title}" for test in TESTS.values()))
        return 0
    if not command:
        parser.error("the controller's command is missing: elevator exam [OPTIONS] -- COMMAND")
    signals = Signals()

    def check_signals() -> None:
        if signals.received is not None:
            raise Interrupted

    try:
        status = _run(arguments, command, check_signals)
    except (BadCommand, Refused) as refusal:
        print(f"elevator exam: {refusal}", file=sys.stderr)
        return 2
    except Interrupted:
        status = INTERRUPTED_STATUS
    if signals.received is not None:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED_STATUS
    return status


def _parser() -> Arguments:
    parser = Arguments(
        prog="elevator exam",
        usage="elevator exam [OPTIONS] -- COMMAND",
        description="Examine a controller: run a copy for each car, inject faults, and judge what the panels show.",
        epilog=EXAMPLES + PLACEHOLDERS,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--cars",
        type=integer(1, MAX_CARS),
        default=3,
        help="number of cars and controllers, except in tests of a single car; default: 3",
    )
    add("--floors", type=integer(3, MAX_FLOORS), default=4, help="number of floors; default: 4")
    add("--seed", type=integer(0, 2**63), help="seed of the exam's random choices; default: random")
    add("--only", type=_tests, metavar="TEST,TEST", help="run only these tests; see --list")
    add("--list", action="store_true", help="list the tests and exit")
    add(
        "--need-network",
        action="store_true",
        help="if network namespaces cannot be created, stop with an error instead of skipping tests",
    )
    add("--ready-timeout", type=seconds, default=READY_S, metavar="SECONDS", help=READY)
    add("--first", metavar="COMMAND", help="shell command to run before the exam, such as a build")
    add(
        "--versus",
        type=_command,
        metavar="COMMAND",
        help="examine this controller too, with the same seed, and compare the results",
    )
    add(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep the controllers' logs and directories in DIR, which must be empty or not exist",
    )
    add("--json", type=Path, metavar="FILE", help="write the results as JSON to FILE")
    add("--html", type=Path, metavar="FILE", help="write a page with results and timelines to FILE")
    add_options(parser)
    return parser


def _tests(text: str) -> list[ExamTest]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in TESTS]:
        raise ArgumentTypeError(f"there is no test {unknown[0]!r}; --list lists the tests")
    if not names:
        raise ArgumentTypeError("no test is named; --list lists the tests")
    return [test for test in TESTS.values() if test.name in names]


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a command: {error}") from None
    if not words:
        raise ArgumentTypeError("the command is empty")
    return words


def _run(arguments: Namespace, command: list[str], meanwhile: Callable[[], None]) -> int:
    subjects = [subject(arguments, each) for each in (command, arguments.versus) if each is not None]
    _check_files(arguments)
    if arguments.first is not None:
        _run_first(arguments.first, meanwhile)
    for each in subjects:
        check_program(each, arguments.cars, arguments.floors)
    why_not = obstacle()
    if why_not and arguments.need_network:
        raise BadCommand(why_not)
    if why_not:
        print(f"{why_not}\nThe tests that need a network are skipped.", file=sys.stderr)
    else:
        enter_namespace()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    setting = ExamSetting(arguments.cars, arguments.floors, seed, not why_not, arguments.keep, arguments.ready_timeout)
    settings = [setting, evolve(setting, keep=setting.keep and setting.keep / "versus")]
    tests = arguments.only or list(TESTS.values())
    planned_s = [0 if _obstacle_to(test, setting, why_not) else test.seconds for test in tests]
    progress = Progress(planned_s * len(subjects))

    def refresh() -> None:
        progress.refresh()
        meanwhile()

    try:
        reports = [
            _examine(tests, examined, each, why_not, progress, refresh)
            for examined, each in zip(subjects, settings, strict=False)
        ]
    finally:
        progress.clear()
    reports = [each for each in reports if each.results]
    if not reports:
        raise Interrupted
    looks = [partial(_where_to_look, arguments.html, each.keep) for each in settings]
    print("", *(report.summary(each, look) for each, look in zip(reports, looks, strict=False)), sep="\n")
    if len(reports) == 2:
        print(report.versus(*reports))
    try:
        if arguments.json is not None:
            arguments.json.write_text(report.as_json(*reports))
        if arguments.html is not None:
            arguments.html.write_text(report_page.page(*reports))
    except OSError as error:
        raise BadCommand(f"cannot write {error.filename}: {error.strerror}") from None
    return 2 if reports[0].is_incomplete else int(not reports[0].passed)


def _check_files(arguments: Namespace) -> None:
    """Create the directory of `--keep`. Raise BadCommand if that fails or the directory is not empty.

    Also raise BadCommand if the file of `--json` or `--html` cannot be written.
    """
    for file in (arguments.json, arguments.html):
        if file is not None and (why_not := _why_not_writable(file)):
            raise BadCommand(f"cannot write {file}: {why_not}")
    if (keep := arguments.keep) is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            if any(keep.iterdir()):  # Controllers would read files of an earlier exam.
                raise BadCommand(f"the directory {keep} of --keep is not empty: empty it or choose another one")
        except OSError as error:
            raise BadCommand(f"cannot use the directory {keep} of --keep: {error.strerror}") from None


def _why_not_writable(file: Path) -> str:
    if file.is_dir():
        return "it is a directory"
    if not file.parent.is_dir():
        return f"there is no directory {file.parent}"
    target = file if file.exists() else file.parent
    return "" if os.access(target, os.W_OK) else os.strerror(errno.EACCES)


def _run_first(command: str, meanwhile: Callable[[], None]) -> None:
    """Run the shell command of --first; raise BadCommand if it fails."""
    with subprocess.Popen(command, shell=True) as first:  # noqa: S602  # the user's own command
        try:
            while first.poll() is None:
                meanwhile()
                time.sleep(0.02)
            meanwhile()
        except Interrupted:
            first.terminate()
            raise
    if first.returncode:
        raise BadCommand(f"the --first command failed with status {first.returncode}")


def _where_to_look(html: Path | None, keep: Path | None, name: str) -> str:
    """Return where to find more about the test *name*.

    *html* is the file of `--html`, and *keep* the directory in which the tests of the controller keep their files. If
    both are None, name the options.
    """
    places = [] if html is None else [f"{html}#{name}"]
    if keep is not None:
        repeated = keep / f"{name}-repeated"
        places.append(str(repeated if repeated.exists() else keep / name))
    return " and ".join(places) or "a timeline (--html FILE) and the controllers' output (--keep DIR)"


def _examine(
    tests: Sequence[ExamTest],
    examined: Subject,
    setting: ExamSetting,
    why_not: str,
    progress: Progress,
    meanwhile: Callable[[], None],
) -> ExamReport:
    """Run all *tests*, and print a line for each. *why_not* says why there is no network; empty if there is one.

    If a signal interrupts the exam, report the tests that have ended. If a test cannot run, report why, and run the
    others. But if the first test of the exam cannot run, raise BadCommand or Refused.
    """
    started, began_s = datetime.now().astimezone(), time.monotonic()
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    results: list[Result] = []
    for test in tests:
        progress.begin(test.title)
        obstacle_here = _obstacle_to(test, setting, why_not)
        try:
            result = skipped(test, obstacle_here) if obstacle_here else examine(test, examined, setting, meanwhile)
        except Interrupted:
            break
        except (BadCommand, Refused) as refusal:
            if not progress.ended:
                raise
            result = unjudged(test, str(refusal))
        except Exception as error:  # noqa: BLE001  # A bug in one test must not lose the results of the others.
            progress.clear()
            traceback.print_exc()
            result = unjudged(test, " ".join(f"internal error: {type(error).__name__}: {error}".split()))
        results.append(result)
        progress.end()
        print(report.line(result, is_coloured), flush=True)
    seconds = round(time.monotonic() - began_s)
    when = started.strftime("%Y-%m-%d %H:%M")
    return ExamReport(
        shlex.join(examined.command), setting.cars, setting.floors, setting.seed, when, seconds, tuple(results)
    )


def _obstacle_to(test: ExamTest, setting: ExamSetting, why_not: str) -> str:
    """Return why *test* must be skipped; empty if it can run."""
    if test.needs_network and setting.cars < 2:
        return "it needs two cars"
    return why_not if test.needs_network else ""
