"""`elevator soak`: run the simulated world with seed after seed, and make a failing one small.

Each seed is a run of its own with its own group, building, faults and passengers, in a process of its own. A failing
run is repeated with fewer faults and presses for as long as it still fails; what remains is printed with its transcript
and the command that replays it.
"""

import argparse
import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attrs import evolve

from elevator.simulation.faults import Plan
from elevator.simulation.observed import Violation
from elevator.simulation.plans import plan
from elevator.simulation.world import World

SHRINK_RUNS = 300


class Outcome(NamedTuple):
    """What became of one run."""

    seed: int
    simulated_ms: int
    faults: int
    digest: str
    violation: str
    """Empty if all was well."""
    crashed: bool = False
    """Whether the program crashed, which no judge had to notice."""


def outcome(plan: Plan) -> tuple[Outcome, list[str]]:
    """Run *plan*; return what became of it and its transcript."""
    try:
        world = World(plan)
    except Exception as error:  # noqa: BLE001  As below.
        why = f"no program starts: {type(error).__name__}: {error}"
        return Outcome(plan.seed, 0, len(plan.faults), "", why, crashed=True), [why]
    violation, crashed = "", False
    try:
        world.run()
    except Violation as error:
        violation = str(error)
    except Exception as error:  # noqa: BLE001  A crash of the program under test is a finding like any other.
        violation, crashed = f"{world.now_ms} ms: {type(error).__name__}: {error}", True
        world.log(f"CRASH: {violation}")
    done = Outcome(plan.seed, world.now_ms, len(plan.faults), world.digest.hexdigest(), violation, crashed)
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


def results(arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Run all seeds, each in a fork, and yield what became of them, as they end. A fork that dies yields nothing."""
    sys.stdout.flush()
    waiting, running = iter(arguments.seeds), dict[int, int]()
    try:
        while True:
            while len(running) < arguments.jobs and (seed := next(waiting, None)) is not None:
                pipe, pid = start(seed, arguments)
                running[pipe] = pid
            if not running:
                return
            for pipe in select.select(list(running), [], [])[0]:
                received = os.read(pipe, 65536)  # A line is shorter than what a pipe takes at once.
                os.close(pipe)
                os.waitpid(running.pop(pipe), 0)
                if received:
                    yield Outcome(*json.loads(received))
    finally:
        for pipe, pid in running.items():
            os.close(pipe)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def start(seed: int, arguments: argparse.Namespace) -> tuple[int, int]:
    """Run *seed* in a fork; return the pipe from which to read its outcome, and its process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # What interrupts its parent ends it.
        try:
            done, _ = outcome(plan(seed, arguments.cars, arguments.floors))
            os.write(writing, json.dumps(done).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return reading, pid
