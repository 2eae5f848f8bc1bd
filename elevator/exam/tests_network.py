"""Tests with a network that is impaired or interrupted, or in which malformed or old datagrams arrive."""

import math
from collections.abc import Callable
from functools import partial
from itertools import islice

from elevator.building.elevators import EventKind
from elevator.core.model import Button
from elevator.exam.results import Level
from elevator.exam.rig import ExamTest, Rig
from elevator.exam.switch import Captured
from elevator.exam.tests_failures import TAKE_OVER_S, call_far_away, expect_recovery
from elevator.exam.tests_single import LAMP_S

AGREE_S = 1.0
"""How long the hall lamps of the panels may differ after the network heals."""
JITTER_MS = 200
"""The longest delay of a datagram. A datagram and its answer take at most twice as long, so a lamp can light within
LAMP_S."""
REPEATED_PERCENT = 30
"""The percentage of datagrams that arrive twice."""
ATTACK_S = 10
REPLAY_S = 0.02
"""The time between two bursts of old datagrams."""


def loss(percent: int, rig: Rig) -> None:
    """Lose *percent* % of all packets while calls are made and served."""
    level = Level.MUST if percent <= 50 else Level.BEYOND

    def make_call(panel: int) -> None:
        floor = rig.far_floor(range(rig.cars))  # Near a car, a door might serve the call before its lamp lights.
        call = rig.press(panel, rig.hall_button(floor), floor)
        rig.expect_lit(call, [panel], LAMP_S, level, range(rig.cars))
        rig.expect_lit(call, range(rig.cars), 10, level)

    rig.start()
    rig.lose(percent)
    _expect_calls_served(rig, make_call, level)
    rig.lose(0)
    _expect_agreement(rig)
    rig.expect_all_served()


def jitter(rig: Rig) -> None:
    """Delay datagrams by random times, so that they overtake each other, and repeat some (G2). Make calls meanwhile."""
    rig.start()
    rig.network.delay_ms, rig.network.duplicate = (0, JITTER_MS), REPEATED_PERCENT / 100
    rig.note(f"delay datagrams by up to {JITTER_MS} ms, repeat {REPEATED_PERCENT} %")
    _expect_calls_served(rig, lambda panel: call_far_away(rig, panel))
    rig.network.heal()
    rig.note("stop delaying")
    _expect_agreement(rig)
    rig.expect_all_served()


def _expect_calls_served(rig: Rig, make_call: Callable[[int], object], level: Level = Level.MUST) -> None:
    """Make four hall calls with *make_call*, and after each a cab call on the same panel. Check that all are served."""
    rig.run(2)
    for number in range(4):
        panel = number % rig.cars
        make_call(panel)
        rig.press(panel, Button.CAB, rig.rng.choice(rig.vacant_floors([panel])))
        rig.run(1)
        if number % 2:
            rig.expect_all_served(level=level)


def _expect_agreement(rig: Rig) -> None:
    rig.expect(rig.panels_agree, AGREE_S, "G5", "after the network heals, the hall lamps of all panels agree")


def unplug(rig: Rig) -> None:
    """Unplug the network cable of a controller."""
    _isolate(rig, rig.unplug, rig.plug)


def cutoff(rig: Rig) -> None:
    """Cut a controller off from all others, although its network interface stays up."""
    _isolate(
        rig,
        lambda car: rig.split([car], [other for other in range(rig.cars) if other != car]),
        lambda car: rig.split(),
    )


def _isolate(rig: Rig, cut: Callable[[int], None], heal: Callable[[int], None]) -> None:
    rig.start()
    alone = rig.rng.randrange(rig.cars)
    other = (alone + 1) % rig.cars
    others = [car for car in range(rig.cars) if car != alone]
    call_far_away(rig, alone)
    cut(alone)
    rig.expect_all_served()
    rig.run(TAKE_OVER_S)
    cab = rig.press(alone, Button.CAB, rig.vacant_floors([alone])[0])
    rig.expect_lit(cab, [alone], LAMP_S)
    floor = rig.rng.choice(rig.vacant_floors(others))
    call = rig.press(other, rig.hall_button(floor), floor)
    rig.expect_lit(call, others, LAMP_S)
    rig.expect_all_served()
    floor = rig.far_floor([alone])
    hall = rig.press(alone, rig.hall_button(floor), floor)
    rig.expect_lit(hall, [alone], LAMP_S, Level.BEYOND)
    rig.run(0.5)
    heal(alone)
    _expect_agreement(rig)
    rig.expect_all_served()
    expect_recovery(rig, alone)


def split(rig: Rig) -> None:
    """Split the network into two halves. Each half must serve the calls that its lamps show."""
    rig.start()
    half = max(1, rig.cars // 2)
    call_far_away(rig, 0)
    rig.split(range(half), range(half, rig.cars))
    rig.run(TAKE_OVER_S)
    rig.expect_all_served()
    sides = (range(half), range(half, rig.cars))
    for side in sides:
        floor = rig.rng.choice(rig.vacant_floors(side))
        rig.expect_lit(rig.press(side[0], rig.hall_button(floor), floor), side, LAMP_S)
    rig.expect_all_served()
    # If a call is lost, an open door on the other side would hide that.
    _await_closed_doors(rig)
    for side in sides:
        floor = rig.far_floor(side)
        rig.press(side[-1], rig.hall_button(floor), floor)
    rig.run(0.5)
    rig.split()
    _expect_agreement(rig)
    rig.expect_all_served()
    expect_recovery(rig, 0)


def garbage(rig: Rig) -> None:
    """While calls are made and served, send malformed datagrams to the three ports that the controllers use most."""
    rig.start()
    ports = [port for port, _ in rig.network.udp_ports.most_common(3)]
    if not ports:
        rig.add_remark("no garbage was sent, because the controllers sent no UDP datagrams")
    rig.note("send garbage")
    with rig.every(0.05, lambda: _inject(rig, ports)):
        for number in range(3):
            call_far_away(rig, number % rig.cars)
            rig.run(ATTACK_S / 3)
        rig.expect_all_served()
    rig.note("stop sending garbage")
    _expect_all_running(rig)


def _inject(rig: Rig, ports: list[int]) -> None:
    """Send a random controller random bytes, malformed JSON, or a real datagram that is cut short or extended.

    Occasionally, the real datagram is unchanged. Do nothing if *ports* is empty.
    """
    if not ports:
        return
    rng = rig.rng
    kind = rng.randrange(4)
    if kind == 0:
        payload = rng.randbytes(rng.randrange(1400))
    elif kind == 1:
        payload = b'{"hallRequests": "' + b"[" * rng.randrange(600) + rng.randbytes(3)
    else:
        real = rng.choice(rig.network.capture).frame.payload or b""
        payload = real[: rng.randrange(len(real) + 1)] if kind == 2 else real + rng.randbytes(rng.randrange(50))
    rig.network.inject(rng.randrange(rig.cars), payload, rng.choice(ports))


def corrupt(rig: Rig) -> None:
    """Damage a fifth of all UDP datagrams in transit, and give them valid checksums."""
    rig.start()
    rig.network.damage = 0.2
    rig.note("damage 20 % of datagrams")
    for number in range(3):
        call_far_away(rig, number % rig.cars)
        rig.run(2)
    rig.expect_all_served()
    rig.network.damage = 0.0
    rig.note("stop damaging")
    rig.run(2)
    _expect_all_running(rig)
    rig.expect(rig.panels_agree, AGREE_S, "G5", "the hall lamps of all panels agree")
    rig.expect_all_served()


def replay(rig: Rig) -> None:
    """Record the datagrams of controllers while calls are made and served. Then send these datagrams again."""
    rig.start()
    recorded = _record(rig)
    rig.note("replay old datagrams")
    began_ms = rig.now_ms
    pieces, at_once = iter(recorded), math.ceil(len(recorded) * REPLAY_S / ATTACK_S)
    with rig.every(REPLAY_S, lambda: rig.network.replay(islice(pieces, at_once))):
        rig.run(ATTACK_S)
    rig.note("stop replaying")
    lit = [event for event in rig.since(began_ms, EventKind.LAMP) if event.value]
    rig.check(
        not lit,
        "G6",
        Level.MUST,
        "old datagrams that arrive again light no lamp",
        f"lamps lit {len(lit)} times" if lit else f"none lit; {len(recorded)} datagrams were repeated",
    )
    _expect_all_running(rig)
    rig.run(2)
    call_far_away(rig, 0)
    rig.expect_all_served()


def _record(rig: Rig) -> list[Captured]:
    """Make three hall calls, one after the other, and wait until all doors are closed. Return the captured datagrams.

    During the replay, an open door would serve a repeated call before its lamp lights.
    """
    recorded: list[Captured] = []

    def collect() -> None:  # The switch keeps only the last datagrams, but those about a press come first.
        recorded.extend(rig.network.capture)
        rig.network.capture.clear()

    for number in range(3):
        call_far_away(rig, number % rig.cars)
        collect()
        rig.expect_all_served()
        collect()
    _await_closed_doors(rig)
    rig.run(2)
    collect()
    return recorded


def _await_closed_doors(rig: Rig) -> None:
    """Wait until all doors are closed, at most 10 s."""
    rig.wait(lambda: not any(rig.is_open(car) for car in range(rig.cars)), 10)


def _expect_all_running(rig: Rig) -> None:
    ended = [car for car in range(rig.cars) if rig.controllers.states[car] != "running" or not rig.has_client(car)]
    rig.check(
        not ended,
        "S2",
        Level.MUST,
        "all controllers run and are connected to their elevator servers",
        ", ".join(rig.state_of(car) for car in ended) or "they are",
    )


def _test(name: str, title: str, run: Callable[[Rig], None], seconds: int, level: Level = Level.MUST) -> ExamTest:
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
