"""Runs the simulated world with many seeds, each in a process of its own, and shrinks a plan that fails."""

import argparse
import gc
import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from elevator.core.evolve import evolve
from elevator.simulation.events import Violation
from elevator.simulation.faults import Plan
from elevator.simulation.plans import plan
from elevator.simulation.world import World

SHRINK_RUNS = 300
"""The maximum number of runs in which `shrink` tries to leave out faults or presses."""


class Outcome(NamedTuple):
    """The result of one run."""

    seed: int
    simulated_ms: int
    faults: int
    digest: str
    violation: str
    """The broken rule or the exception; empty if the run passed."""
    crashed: bool = False
    """True if a node failed to start, or if the run ended with an exception other than Violation."""


def run_plan(plan: Plan) -> tuple[Outcome, list[str]]:
    """Run *plan*; return the result and the transcript."""
    try:
        world = World(plan)
    except Exception as error:  # noqa: BLE001  A node that cannot start is a failure like any other.
        why = f"a node failed to start: {type(error).__name__}: {error}"
        return Outcome(plan.seed, 0, len(plan.faults), "", why, crashed=True), [why]
    violation, crashed = "", False
    try:
        world.run()
    except Violation as error:
        violation = str(error)
    except Exception as error:  # noqa: BLE001  An exception in a node is a failure like any other.
        violation, crashed = f"{world.now_ms} ms: {type(error).__name__}: {error}", True
        world.log(f"CRASH: {violation}")
    done = Outcome(plan.seed, world.now_ms, len(plan.faults), world.digest.hexdigest(), violation, crashed)
    return done, world.transcript


def shrink(plan: Plan) -> Plan:
    """Leave out the passengers, faults and presses without which *plan* still fails. Return the smaller plan.

    Some of what is left may still be needless, because the search leaves out only consecutive faults or presses, and
    ends after SHRINK_RUNS runs.
    """
    if plan.flow is not None and run_plan(evolve(plan, flow=None))[0].violation:
        plan = evolve(plan, flow=None)
    runs = 0
    for part in ("faults", "presses"):
        size = len(getattr(plan, part))
        while size >= 1:
            start = 0
            while start < len(kept := getattr(plan, part)) and runs < SHRINK_RUNS:
                smaller = evolve(plan, **{part: kept[:start] + kept[start + size :]})
                runs += 1
                if run_plan(smaller)[0].violation:
                    plan = smaller
                else:
                    start += size
            size //= 2
    return plan


def keep_only(plan: Plan, faults: Sequence[int], presses: Sequence[int]) -> Plan:
    """Return *plan* with only the faults and presses at the given indices."""
    return evolve(
        plan,
        faults=tuple(plan.faults[n] for n in faults),
        presses=tuple(plan.presses[n] for n in presses),
    )


def run_seeds(arguments: argparse.Namespace) -> Iterator[tuple[int, Outcome | None]]:
    """Run each seed in a child process. Yield each seed with its result, or with None if the child died without one.

    If the caller stops early, kill the children that are still running.
    """
    sys.stdout.flush()
    waiting, running = iter(arguments.seeds), dict[int, tuple[int, int]]()
    try:
        while True:
            while len(running) < arguments.jobs and (seed := next(waiting, None)) is not None:
                # Python ignores exceptions in its fork hooks, so a KeyboardInterrupt there would get lost.
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
                pipe, pid = start_run(seed, arguments)
                running[pipe] = pid, seed
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            if not running:
                return
            for pipe in select.select(list(running), [], [])[0]:
                received = os.read(pipe, 65536)  # One read suffices, because a result fits in a pipe's buffer.
                os.close(pipe)
                pid, seed = running.pop(pipe)
                os.waitpid(pid, 0)
                yield seed, Outcome(*json.loads(received)) if received else None
    finally:
        for pipe, (pid, _) in running.items():
            os.close(pipe)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def start_run(seed: int, arguments: argparse.Namespace) -> tuple[int, int]:
    """Start to run *seed* in a child process; return the pipe for the result and the child's process id.

    The caller must block SIGINT first. It stays blocked in the child, so only the parent handles Ctrl-C.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            gc.disable()  # A run leaves few reference cycles, and the process ends after the run.
            done, _ = run_plan(plan(seed, arguments.cars, arguments.floors))
            os.write(writing, json.dumps(done).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return reading, pid
