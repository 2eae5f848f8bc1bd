"""Tests with a network that loses, delays, blocks, damages and repeats datagrams."""

import math
from collections.abc import Callable
from functools import partial
from itertools import islice

from elevator.building.elevators import EventKind
from elevator.core.model import Button
from elevator.exam.bench import Bench, ExamTest
from elevator.exam.results import Level
from elevator.exam.switch import Captured
from elevator.exam.tests_failures import TAKE_OVER_S, call_far_away, expect_recovery
from elevator.exam.tests_single import LAMP_S

AGREE_S = 1.0
"""How long the hall lamps of the panels may differ after the network has healed."""
JITTER_MS = 200
"""The longest delay of a datagram. A lamp can light within LAMP_S: a datagram and its answer take at most 400 ms."""
REPEATED_PERCENT = 30
"""The percentage of datagrams that arrive twice."""
ATTACK_S = 10
REPLAY_S = 0.02
"""The time between two bursts of old datagrams."""


def loss(percent: int, bench: Bench) -> None:
    """Lose *percent* of all packets while calls are made."""
    level = Level.MUST if percent <= 50 else Level.BEYOND

    def make_call(panel: int) -> None:
        floor = bench.far_floor(range(bench.cars))  # Near a car, a door might serve the call before its lamp lights.
        call = bench.press(panel, bench.hall_button(floor), floor)
        bench.expect_lit(call, [panel], LAMP_S, level, range(bench.cars))
        bench.expect_lit(call, range(bench.cars), 10, level)

    bench.start()
    bench.lose(percent)
    _expect_calls_served(bench, make_call, level)
    bench.lose(0)
    _expect_agreement(bench)
    bench.expect_all_served()


def jitter(bench: Bench) -> None:
    """Delay datagrams by random times, so that they overtake each other, and repeat some (G2). Make calls meanwhile."""
    bench.start()
    bench.network.delay_ms, bench.network.duplicate = (0, JITTER_MS), REPEATED_PERCENT / 100
    bench.note(f"delay datagrams by up to {JITTER_MS} ms, repeat {REPEATED_PERCENT} %")
    _expect_calls_served(bench, lambda panel: call_far_away(bench, panel))
    bench.network.heal()
    bench.note("stop delaying")
    _expect_agreement(bench)
    bench.expect_all_served()


def _expect_calls_served(bench: Bench, make_call: Callable[[int], object], level: Level = Level.MUST) -> None:
    """Make hall calls with *make_call* on alternating panels, and cab calls. Check that all are served."""
    bench.run(2)
    for number in range(4):
        panel = number % bench.cars
        make_call(panel)
        bench.press(panel, Button.CAB, bench.rng.choice(bench.vacant_floors([panel])))
        bench.run(1)
        if number % 2:
            bench.expect_all_served(level=level)


def _expect_agreement(bench: Bench) -> None:
    bench.expect(bench.panels_agree, AGREE_S, "G5", "the hall lamps of all panels agree after the network has healed")


def unplug(bench: Bench) -> None:
    """Unplug the network cable of a controller."""
    _isolate(bench, bench.unplug, bench.plug)


def cutoff(bench: Bench) -> None:
    """Cut a controller off from all others, with its network interface up."""
    _isolate(
        bench,
        lambda car: bench.split([car], [other for other in range(bench.cars) if other != car]),
        lambda car: bench.split(),
    )


def _isolate(bench: Bench, cut: Callable[[int], None], heal: Callable[[int], None]) -> None:
    bench.start()
    alone = bench.rng.randrange(bench.cars)
    other = (alone + 1) % bench.cars
    others = [car for car in range(bench.cars) if car != alone]
    call_far_away(bench, alone)
    cut(alone)
    bench.expect_all_served()
    bench.run(TAKE_OVER_S)
    cab = bench.press(alone, Button.CAB, bench.vacant_floors([alone])[0])
    bench.expect_lit(cab, [alone], LAMP_S)
    floor = bench.rng.choice(bench.vacant_floors(others))
    call = bench.press(other, bench.hall_button(floor), floor)
    bench.expect_lit(call, others, LAMP_S)
    bench.expect_all_served()
    floor = bench.far_floor([alone])
    hall = bench.press(alone, bench.hall_button(floor), floor)
    bench.expect_lit(hall, [alone], LAMP_S, Level.BEYOND)
    bench.run(0.5)
    heal(alone)
    _expect_agreement(bench)
    bench.expect_all_served()
    expect_recovery(bench, alone)


def split(bench: Bench) -> None:
    """Split the group into two halves. Each serves the calls that its lamps show."""
    bench.start()
    half = max(1, bench.cars // 2)
    call_far_away(bench, 0)
    bench.split(range(half), range(half, bench.cars))
    bench.run(TAKE_OVER_S)
    bench.expect_all_served()
    sides = (range(half), range(half, bench.cars))
    for side in sides:
        floor = bench.rng.choice(bench.vacant_floors(side))
        bench.expect_lit(bench.press(side[0], bench.hall_button(floor), floor), side, LAMP_S)
    bench.expect_all_served()
    # If a call is lost, an open door on the other side would hide that.
    _await_closed_doors(bench)
    for side in sides:
        floor = bench.far_floor(side)
        bench.press(side[-1], bench.hall_button(floor), floor)
    bench.run(0.5)
    bench.split()
    _expect_agreement(bench)
    bench.expect_all_served()
    expect_recovery(bench, 0)


def garbage(bench: Bench) -> None:
    """Send malformed datagrams to the ports that the controllers use, while they work."""
    bench.start()
    ports = [port for port, _ in bench.network.udp_ports.most_common(3)]
    if not ports:
        bench.add_remark("no garbage was sent, because the controllers sent no UDP datagrams")
    bench.note("send garbage")
    with bench.every(0.05, lambda: _inject(bench, ports)):
        for number in range(3):
            call_far_away(bench, number % bench.cars)
            bench.run(ATTACK_S / 3)
        bench.expect_all_served()
    bench.note("stop sending garbage")
    _expect_all_running(bench)


def _inject(bench: Bench, ports: list[int]) -> None:
    """Send random bytes, text, or a damaged copy of a real datagram to a random controller."""
    if not ports:
        return
    rng = bench.rng
    kind = rng.randrange(4)
    if kind == 0:
        payload = rng.randbytes(rng.randrange(1400))
    elif kind == 1:
        payload = b'{"hallRequests": "' + b"[" * rng.randrange(600) + rng.randbytes(3)
    else:
        real = rng.choice(bench.network.capture).frame.payload or b""
        payload = real[: rng.randrange(len(real) + 1)] if kind == 2 else real + rng.randbytes(rng.randrange(50))
    bench.network.inject(rng.randrange(bench.cars), payload, rng.choice(ports))


def corrupt(bench: Bench) -> None:
    """Damage a fifth of all UDP datagrams on their way, with valid checksums."""
    bench.start()
    bench.network.damage = 0.2
    bench.note("damage 20 % of datagrams")
    for number in range(3):
        call_far_away(bench, number % bench.cars)
        bench.run(2)
    bench.expect_all_served()
    bench.network.damage = 0.0
    bench.note("stop damaging")
    bench.run(2)
    _expect_all_running(bench)
    bench.expect(bench.panels_agree, AGREE_S, "G5", "the hall lamps of all panels agree")
    bench.expect_all_served()


def replay(bench: Bench) -> None:
    """Record the datagrams of controllers while calls are made and served. Then send these datagrams again."""
    bench.start()
    recorded = _record(bench)
    bench.note("replay old datagrams")
    began_ms = bench.now_ms
    pieces, at_once = iter(recorded), math.ceil(len(recorded) * REPLAY_S / ATTACK_S)
    with bench.every(REPLAY_S, lambda: bench.network.replay(islice(pieces, at_once))):
        bench.run(ATTACK_S)
    bench.note("stop replaying")
    lit = [event for event in bench.since(began_ms, EventKind.LAMP) if event.value]
    bench.check(
        not lit,
        "G6",
        Level.MUST,
        "no lamp lights because old datagrams arrive again",
        f"{len(lit)} lamps lit" if lit else f"none lit; {len(recorded)} datagrams were repeated",
    )
    _expect_all_running(bench)
    bench.run(2)
    call_far_away(bench, 0)
    bench.expect_all_served()


def _record(bench: Bench) -> list[Captured]:
    """Make calls one at a time, and wait until each is served. Return the datagrams that the controllers sent.

    Then wait for all doors to close, because an open door would serve a replayed call before its lamp lights.
    """
    recorded: list[Captured] = []

    def collect() -> None:  # The switch keeps only the last datagrams, but those about a press come first.
        recorded.extend(bench.network.capture)
        bench.network.capture.clear()

    for number in range(3):
        call_far_away(bench, number % bench.cars)
        collect()
        bench.expect_all_served()
        collect()
    _await_closed_doors(bench)
    bench.run(2)
    collect()
    return recorded


def _await_closed_doors(bench: Bench) -> None:
    """Wait until all doors are closed, at most 10 s."""
    bench.wait(lambda: not any(bench.is_open(car) for car in range(bench.cars)), 10)


def _expect_all_running(bench: Bench) -> None:
    ended = [
        car for car in range(bench.cars) if bench.controllers.states[car] != "running" or not bench.has_client(car)
    ]
    bench.check(
        not ended,
        "S2",
        Level.MUST,
        "no controller exits or loses its connection",
        ", ".join(bench.state_of(car) for car in ended) or "all run",
    )


def _test(name: str, title: str, run: Callable[[Bench], None], seconds: int, level: Level = Level.MUST) -> ExamTest:
    return ExamTest(name, title, run, needs_network=True, seconds=seconds, level=level)


TESTS = (
    *(
        _test(f"loss{percent}", f"The network loses {percent} % of all packets", partial(loss, percent), 25)
        for percent in (10, 30, 50, 70)
    ),
    _test("jitter", "Datagrams arrive late, twice and in another order", jitter, 25, Level.BEYOND),
    _test("unplug", "A network cable is unplugged", unplug, 75),
    _test("cutoff", "A controller is cut off from the others", cutoff, 75),
    _test("split", "The network is split into two halves", split, 75, Level.BEYOND),
    _test("garbage", "Malformed datagrams arrive", garbage, 45, Level.BEYOND),
    _test("corrupt", "Datagrams are damaged on their way", corrupt, 40, Level.BEYOND),
    _test("replay", "Old datagrams arrive again", replay, 50, Level.BEYOND),
)
