"""`elevator soak`: run the simulated world with seed after seed, and make a failing one small.

Each seed is a run of its own with its own group, building, faults and passengers. Workers are forks that take every
n-th seed and report over a pipe, a line a seed. A failing run is repeated with fewer faults and presses for as long as
it still fails; what remains is printed with its transcript and the command that replays it.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from attrs import evolve

from elevator.sim.faults import Plan, plan
from elevator.sim.oracle import Violation
from elevator.sim.world import World

SHRINK_RUNS = 300
LINES_SHOWN = 80


class Outcome(NamedTuple):
    """What became of one run."""

    seed: int
    simulated_ms: int
    faults: int
    digest: str
    violation: str
    """Empty if all was well."""


def outcome(plan: Plan) -> tuple[Outcome, list[str]]:
    """Run *plan*; return what became of it and its transcript."""
    try:
        world = World(plan)
    except Exception as error:  # noqa: BLE001  As below.
        why = f"no program starts: {type(error).__name__}: {error}"
        return Outcome(plan.seed, 0, len(plan.faults), "", why), [why]
    violation = ""
    try:
        world.run()
    except Violation as error:
        violation = str(error)
    except Exception as error:  # noqa: BLE001  A crash of the program under test is a finding like any other.
        violation = f"{world.now_ms} ms: {type(error).__name__}: {error}"
        world.tell(f"CRASH: {violation}")
    done = Outcome(plan.seed, world.now_ms, len(plan.faults), world.digest.hexdigest(), violation)
    return done, world.transcript


def shrink(plan: Plan) -> Plan:
    """Leave out faults and presses of a failing *plan*, in ever smaller pieces, for as long as it still fails."""
    if plan.traffic is not None and outcome(evolve(plan, traffic=None))[0].violation:
        plan = evolve(plan, traffic=None)
    runs = 0
    for part in ("faults", "presses"):
        size = len(getattr(plan, part))
        while size >= 1:
            start = 0
            while start < len(kept := getattr(plan, part)) and runs < SHRINK_RUNS:
                smaller = evolve(plan, **{part: kept[:start] + kept[start + size :]})
                runs += 1
                if outcome(smaller)[0].violation:
                    plan = smaller
                else:
                    start += size
            size //= 2
    return plan


def only(plan: Plan, faults: Sequence[int], presses: Sequence[int]) -> Plan:
    """Keep of *plan* only what is numbered."""
    return evolve(
        plan,
        faults=tuple(plan.faults[n] for n in faults if n < len(plan.faults)),
        presses=tuple(plan.presses[n] for n in presses if n < len(plan.presses)),
    )


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"elevator soak: {' '.join(message.split())}\n")


def seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not first.isdigit() or not last.isdigit() or int(first) > int(last):
        raise argparse.ArgumentTypeError(f"not a seed or a range of seeds such as 1..200: {text!r}")
    return range(int(first), int(last) + 1)


def numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",") if number]
    except ValueError:
        raise argparse.ArgumentTypeError(f"not numbers with commas between: {text!r}") from None


def main(argv: list[str]) -> int:
    """Run the command; status 1 if any seed failed."""
    parser = Parser(
        prog="elevator soak", description="Run whole groups in virtual time, with every fault, seed by seed."
    )
    parser.add_argument("--seeds", type=seeds, metavar="A..B", help="which seeds (a fresh hundred)")
    parser.add_argument("--cars", type=int, choices=range(1, 10), metavar="N", help="number of cars (drawn, 1..9)")
    parser.add_argument("--floors", type=int, choices=range(2, 21), metavar="M", help="number of floors (drawn, 2..20)")
    parser.add_argument("--hours", type=float, help="stop after so many simulated hours")
    parser.add_argument("--minutes", type=float, help="stop after so many real minutes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (one a core)")
    parser.add_argument("--transcript", action="store_true", help="print the whole transcript, also if nothing failed")
    parser.add_argument("--faults", type=numbers, metavar="N,N", help="replay with these faults of the seed only")
    parser.add_argument("--no-traffic", action="store_true", help="replay without the people who wait and ride")
    parser.add_argument("--presses", type=numbers, metavar="N,N", help="replay with these presses of the seed only")
    arguments = parser.parse_args(argv)
    if arguments.jobs < 1:
        parser.error(f"argument --jobs: not a number of processes: {arguments.jobs}")
    if arguments.seeds is None:
        first = int.from_bytes(os.urandom(4), "big")
        arguments.seeds = range(first, first + (1_000_000 if arguments.hours or arguments.minutes else 100))
    if len(arguments.seeds) == 1:
        return replay(arguments)
    if arguments.transcript or arguments.no_traffic or arguments.faults is not None or arguments.presses is not None:
        parser.error("--transcript, --faults, --presses and --no-traffic are for a single seed")
    return campaign(arguments)


def replay(arguments: argparse.Namespace) -> int:
    """Run one seed, whole or in part, and tell all about it."""
    whole = plan(arguments.seeds[0], arguments.cars, arguments.floors)
    faults = range(len(whole.faults)) if arguments.faults is None else arguments.faults
    presses = range(len(whole.presses)) if arguments.presses is None else arguments.presses
    part = only(whole, faults, presses)
    done, transcript = outcome(evolve(part, traffic=None) if arguments.no_traffic else part)
    if arguments.transcript or done.violation:
        print("\n".join(transcript))
    cars, floors = whole.cars, whole.floors
    print(f"seed {whole.seed}: {cars} cars, {floors} floors, {done.simulated_ms / 1000:.0f} s, digest {done.digest}")
    print(done.violation or "nothing lost, nothing invented")
    is_whole = part == whole and not arguments.no_traffic
    if done.violation and is_whole and not arguments.transcript:
        explain(arguments, done)
    return 1 if done.violation else 0


def campaign(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    done = faults = lost = 0
    hours = 0.0
    failed: list[Outcome] = []
    print(f"seeds {arguments.seeds[0]}..{arguments.seeds[-1]}, {arguments.jobs} jobs", flush=True)
    said_at = began
    for result in results(arguments):
        done += 1
        hours += result.simulated_ms / 3_600_000
        faults += result.faults
        now = time.monotonic()
        if result.violation:
            failed.append(result)
            print(f"seed {result.seed} failed: {result.violation}", flush=True)
        if now >= said_at + 10:
            said_at = now
            print(progress(done, hours, faults, now - began), flush=True)
        late = arguments.minutes and now - began > 60 * arguments.minutes
        if late or (arguments.hours and hours >= arguments.hours):
            break
    else:
        lost = len(arguments.seeds) - done
    print(progress(done, hours, faults, time.monotonic() - began))
    if failed:
        explain(arguments, failed[0])
    print(
        f"{done - len(failed)} passed, {len(failed)} failed" + (f", {lost} not run: a worker has died" if lost else "")
    )
    return 1 if failed or lost else 0


def progress(done: int, hours: float, faults: int, took_s: float) -> str:
    simulated = f"{hours:.1f} simulated hours, {hours * 3600 / took_s:.0f} times real"
    return f"{done} seeds, {done / took_s:.1f} a second; {simulated}; {faults} faults"


def explain(arguments: argparse.Namespace, failure: Outcome) -> None:
    """Make a failing seed small and say how to see it again."""
    whole = plan(failure.seed, arguments.cars, arguments.floors)
    small = shrink(whole)
    _, transcript = outcome(small)
    kept_faults = ",".join(str(whole.faults.index(fault)) for fault in small.faults)
    kept_presses = ",".join(str(whole.presses.index(press)) for press in small.presses)
    print(f"\nseed {failure.seed}, made small: {len(small.faults)} faults, {len(small.presses)} presses")
    for each in (*small.faults, *small.presses):
        print(f"  {each}")
    print("\n".join(transcript[-LINES_SHOWN:]))
    size = "".join(f" --{name} {value}" for name in ("cars", "floors") if (value := getattr(arguments, name)))
    size += " --no-traffic" if whole.traffic and not small.traffic else ""
    print(f"elevator soak --seeds {failure.seed}{size} --faults '{kept_faults}' --presses '{kept_presses}'\n")


def results(arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Run all seeds in forked workers and yield what became of them, as they end."""
    jobs = min(arguments.jobs, len(arguments.seeds))
    sys.stdout.flush()
    pipes: dict[int, int] = {}
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Workers keep it so: what interrupts us ends them.
    for job in range(jobs):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            for inherited in (reading, *pipes):
                os.close(inherited)
            work(arguments, job, jobs, writing)
        os.close(writing)
        pipes[reading] = pid
    rest = dict.fromkeys(pipes, b"")
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        while rest:
            for pipe in select.select(list(rest), [], [])[0]:
                received = os.read(pipe, 65536)
                *lines, left = (rest[pipe] + received).split(b"\n")
                for line in lines:
                    yield Outcome(*json.loads(line))
                rest[pipe] = left
                if not received:
                    del rest[pipe]
    finally:
        for pipe, pid in pipes.items():
            os.close(pipe)
            os.kill(pid, signal.SIGKILL)  # It may have seeds left; or be gone already, which is as well.
            os.waitpid(pid, 0)


def work(arguments: argparse.Namespace, job: int, jobs: int, pipe: int) -> NoReturn:
    """Be a worker: never return to the code of the parent."""
    try:
        for seed in arguments.seeds[job::jobs]:
            done, _ = outcome(plan(seed, arguments.cars, arguments.floors))
            os.write(pipe, json.dumps(done).encode() + b"\n")
    except BrokenPipeError:
        pass
    finally:
        os._exit(0)
