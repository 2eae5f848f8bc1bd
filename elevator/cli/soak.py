"""`elevator soak`: tests simulated groups with fault injection, or replays a seed. Shrinks the first failing run."""

import argparse
import os
import time

from attrs import evolve

from elevator.cli.arguments import Arguments, integer
from elevator.cli.wording import counted
from elevator.simulation.campaign import Outcome, keep_only, run_plan, run_seeds, shrink
from elevator.simulation.faults import Plan
from elevator.simulation.plans import plan

LINES_SHOWN = 80


def seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not first.isdigit() or not last.isdigit() or int(first) > int(last):
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed or a range such as 1..200")
    return range(int(first), int(last) + 1)


def numbers(text: str) -> list[int]:
    if not all(number.isdecimal() for number in text.split(",") if number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1,5")
    return [int(number) for number in text.split(",") if number]


def main(argv: list[str]) -> int:
    """Run `elevator soak`; return the exit status: 1 if a seed failed or its process died, else 0."""
    parser = Arguments(prog="elevator soak", description="Test simulated groups in virtual time with fault injection.")
    parser.add_argument(
        "--seeds",
        type=seeds,
        metavar="A..B",
        help="one seed, or a range of seeds; default: 100 seeds, beginning with a random one; with --hours or "
        "--minutes, as many as there is time for",
    )
    parser.add_argument(
        "--cars", type=integer(1, 9), metavar="N", help="number of cars, 1..9; default: set by the seed"
    )
    parser.add_argument(
        "--floors", type=integer(2, 20), metavar="M", help="number of floors, 2..20; default: set by the seed"
    )
    parser.add_argument("--hours", type=float, help="stop once the runs have simulated this many hours in total")
    parser.add_argument(
        "--minutes",
        type=float,
        help="stop after this many minutes of real time, plus the time to shrink a failing run",
    )
    parser.add_argument(
        "--jobs",
        type=integer(1, 1000),
        metavar="N",
        default=os.cpu_count() or 1,
        help="number of seeds to run at the same time, each in its own process; default: one per core",
    )
    parser.add_argument(
        "--transcript",
        action="store_true",
        help="print the transcript, whether the seed passes or not; do not shrink a failing run",
    )
    parser.add_argument(
        "--faults", type=numbers, metavar="N,N", help="replay only these faults of the seed, numbered from 0"
    )
    parser.add_argument("--no-traffic", action="store_true", help="replay without simulated passengers")
    parser.add_argument(
        "--presses", type=numbers, metavar="N,N", help="replay only these presses of the seed, numbered from 0"
    )
    arguments = parser.parse_args(argv)
    if arguments.seeds is None:
        first = int.from_bytes(os.urandom(4), "big")
        arguments.seeds = range(first, first + (1_000_000 if arguments.hours or arguments.minutes else 100))
    if len(arguments.seeds) == 1:
        whole = plan(arguments.seeds[0], arguments.cars, arguments.floors)
        for name, noun, chosen, drawn in (
            ("faults", "fault", arguments.faults, whole.faults),
            ("presses", "press", arguments.presses, whole.presses),
        ):
            if max(chosen or (), default=-1) >= len(drawn):
                has = f"seed {whole.seed} has only {counted(len(drawn), noun)}, numbered from 0"
                parser.error(f"argument --{name}: {has}")
        return replay(arguments, whole)
    if arguments.transcript or arguments.no_traffic or arguments.faults is not None or arguments.presses is not None:
        parser.error("--transcript, --faults, --presses and --no-traffic need --seeds with a single seed")
    return run_campaign(arguments)


def replay(arguments: argparse.Namespace, whole: Plan) -> int:
    """Run the plan *whole*, or the part of it that *arguments* choose. Return 1 if the run fails, else 0.

    Print the result, and the transcript if the run fails or --transcript is given. If the whole plan fails without
    --transcript, also shrink it (`explain`).
    """
    faults = range(len(whole.faults)) if arguments.faults is None else arguments.faults
    presses = range(len(whole.presses)) if arguments.presses is None else arguments.presses
    part = keep_only(whole, faults, presses)
    done, transcript = run_plan(evolve(part, flow=None) if arguments.no_traffic else part)
    if arguments.transcript or done.violation:
        print("\n".join(transcript))
    cars, floors = whole.cars, whole.floors
    simulated = f"{done.simulated_ms / 1000:.0f} s simulated"
    print(f"seed {whole.seed}: {counted(cars, 'car')}, {floors} floors, {simulated}, digest {done.digest}")
    print(done.violation or "no violation")
    is_whole = part == whole and not arguments.no_traffic
    if done.violation and is_whole and not arguments.transcript:
        explain(arguments, done)
    return 1 if done.violation else 0


def run_campaign(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    done = faults = lost = 0
    hours = 0.0
    failed: list[Outcome] = []
    print(f"seeds {arguments.seeds[0]}..{arguments.seeds[-1]}, {counted(arguments.jobs, 'job')}", flush=True)
    reported_at = began
    for seed, result in run_seeds(arguments):
        now = time.monotonic()
        if result is None:
            lost += 1
            print(f"seed {seed} has no result: its process died", flush=True)
        else:
            done += 1
            hours += result.simulated_ms / 3_600_000
            faults += result.faults
            if result.violation:
                failed.append(result)
                print(f"seed {seed} failed: {result.violation}", flush=True)
        if now >= reported_at + 10:
            reported_at = now
            print(progress(done, hours, faults, now - began), flush=True)
        is_late = arguments.minutes and now - began > 60 * arguments.minutes
        if is_late or (arguments.hours and hours >= arguments.hours):
            break
    print(progress(done, hours, faults, time.monotonic() - began))
    if failed:
        explain(arguments, failed[0])
    print(
        f"{done - len(failed)} passed, {len(failed)} failed"
        + (f", {lost} without a result because a process died" if lost else "")
    )
    return 1 if failed or lost else 0


def progress(done: int, hours: float, faults: int, took_s: float) -> str:
    simulated = f"{hours:.1f} simulated hours, {hours * 3600 / took_s:.0f} times real time"
    return f"{counted(done, 'seed')}, {done / took_s:.1f} per second; {simulated}; {counted(faults, 'fault')}"


def explain(arguments: argparse.Namespace, failure: Outcome) -> None:
    """Shrink a failing run. Print the faults and presses left, the end of the new transcript, and a replay command."""
    whole = plan(failure.seed, arguments.cars, arguments.floors)
    small = shrink(whole)
    _, transcript = run_plan(small)
    kept_faults = ",".join(str(whole.faults.index(fault)) for fault in small.faults)
    kept_presses = ",".join(str(whole.presses.index(press)) for press in small.presses)
    kept = f"{counted(len(small.faults), 'fault')}, {counted(len(small.presses), 'press')}"
    kept += ", and passengers" if small.flow else ""
    print(f"\nseed {failure.seed} shrunk to {kept}")
    for each in (*small.faults, *small.presses):
        print(f"  {each}")
    print("\n".join(transcript[-LINES_SHOWN:]))
    size = "".join(f" --{name} {value}" for name in ("cars", "floors") if (value := getattr(arguments, name)))
    size += " --no-traffic" if whole.flow and not small.flow else ""
    print(f"elevator soak --seeds {failure.seed}{size} --faults '{kept_faults}' --presses '{kept_presses}'\n")
