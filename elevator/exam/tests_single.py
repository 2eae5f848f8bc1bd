"""Tests of a single car. Only the test of the obstruction switch also uses the other cars."""

from elevator.building.elevators import EventKind, buttons
from elevator.core.call_set import mask
from elevator.core.model import Button, bits
from elevator.exam.judge import CLEARED_BEFORE_OPEN_MS, MAX_OPEN_MS, MIN_OPEN_MS, TOLERANCE_MS
from elevator.exam.results import Level
from elevator.exam.rig import ExamTest, Rig

LAMP_S = 1.0
"""How long a lamp may take to light."""
FINGER_S = 0.1
"""How long a test pauses after a press. A person does not press two buttons in the same millisecond."""
IDLE_S = 8.0
"""How long `single` watches the idle car: longer than a dwell time, to notice a door that needlessly opens again."""


def single(rig: Rig) -> None:
    """Press three buttons one at a time, then all others in quick succession. Then watch the idle car.

    The first two are the cab buttons for the end floors. So the car travels through the whole building, past floors
    without calls.
    """
    rig.start()
    began_ms = rig.now_ms
    exist = buttons(rig.floors)
    calls = [(button, floor) for button in Button for floor in bits(mask(exist, button))]
    rig.rng.shuffle(calls)
    calls.sort(key=lambda call: call not in ((Button.CAB, 0), (Button.CAB, rig.floors - 1)))
    for at_once in [calls[:1], calls[1:2], calls[2:3], calls[3:]]:
        for button, floor in at_once:
            rig.expect_lit(rig.press(0, button, floor), [0], LAMP_S)
            rig.run(FINGER_S)
        if not rig.expect_all_served():
            return
        floor_now, shown = rig.elevator(0).sensed, rig.elevator(0).indicator
        where = "between floors" if floor_now is None else f"at floor {floor_now}"
        rig.check(
            shown == floor_now or floor_now is None,
            "L6",
            Level.MUST,
            "the floor indicator shows the floor of the car",
            f"it shows {'nothing' if shown is None else shown}, and the car is {where}",
            0,
        )
    rig.run(IDLE_S)
    check_stops(rig, began_ms)


def check_stops(rig: Rig, since_ms: int) -> None:
    """Check that since *since_ms*, the door has opened only at floors with a call (C1). The rig must have one car."""
    calls: dict[int, int] = {}
    """For each floor that has had a call: when its last lamp went dark; while a call is pending, `rig.now_ms`."""
    lit: set[tuple[Button, int]] = set()
    floor, needless = rig.start_floors[0], []
    for event in rig.seen:
        match event.kind:
            case EventKind.SENSOR if isinstance(event.value, int):
                floor = event.value
            case EventKind.PRESS if event.floor is not None:
                calls[event.floor] = rig.now_ms
            case EventKind.LAMP if event.button is not None and event.floor is not None:
                (lit.add if event.value else lit.discard)((event.button, event.floor))
                is_called = any(at == event.floor for _, at in lit)
                calls[event.floor] = rig.now_ms if is_called else event.at_ms
            case EventKind.DOOR if event.value and event.at_ms >= since_ms:
                if floor is None or calls.get(floor, -1) < event.at_ms - CLEARED_BEFORE_OPEN_MS:
                    needless.append(f"at floor {floor} (at {event.at_ms / 1000:.1f} s)")
            case _:
                pass
    found = f"it also opened {', '.join(needless)}" if needless else "it did"
    rig.check(not needless, "C1", Level.MUST, "the door opens only at floors with a call", found, 0)


def door(rig: Rig) -> None:
    """Measure how long the door stays open for each of three cab calls. Then make a hall call where the car stands."""
    rig.start()
    for _ in range(3):
        floor = rig.rng.choice(rig.vacant_floors([0]))
        rig.press(0, Button.CAB, floor)
        if not _open_and_close(rig, floor, 60):
            return
    here = rig.elevator(0).sensed
    if here is not None:
        rig.run(0.5)
        began_ms = rig.now_ms
        rig.press(0, rig.hall_button(here), here)
        if _open_and_close(rig, here, 10):
            opened_ms = next(event.at_ms for event in rig.since(began_ms, EventKind.DOOR, 0) if event.value)
            rig.add_figure("door opens for a call at the floor of the car", opened_ms - began_ms, "ms")
    rig.expect_all_served()


def _open_and_close(rig: Rig, floor: int, within_s: float) -> bool:
    """Check that the door opens at *floor* within *within_s*, and closes within MAX_OPEN_MS.

    Return whether it opened in time and is closed again, even if it closed late.
    """
    began_ms = rig.now_ms
    if not rig.expect(
        lambda: rig.is_open(0, floor), within_s, "C9", f"the door opens at floor {floor}", found=lambda: "it did not"
    ):
        return False
    rig.wait(lambda: not rig.is_open(0), MAX_OPEN_MS / 1000 + 4)
    opened_ms = next(event.at_ms for event in rig.since(began_ms, EventKind.DOOR, 0) if event.value)
    closings = [event.at_ms for event in rig.since(opened_ms, EventKind.DOOR, 0) if not event.value]
    open_ms = (closings[0] if closings else rig.now_ms) - opened_ms
    closed = not rig.is_open(0)
    rig.check(
        closed and open_ms <= MAX_OPEN_MS + TOLERANCE_MS,
        "D1",
        Level.MUST,
        f"after one call, the door closes within {MAX_OPEN_MS / 1000:g} s",
        f"it was open for {open_ms / 1000:.2f} s" + ("" if closed else " and still is"),
        0,
    )
    if closed:
        rig.add_figure("door open", open_ms, "ms")
    return closed


def obstruction(rig: Rig) -> None:
    """Obstruct an open door while the other cars serve hall calls, and toggle the obstruction switch.

    Then obstruct the closed door and make a cab call.
    """
    rig.start()
    top = rig.floors - 1
    rig.press(0, Button.CAB, top if rig.elevator(0).sensed != top else 0)
    if not rig.expect(lambda: rig.is_open(0), 60, "C9", "the door opens for a cab call", found=lambda: "it did not"):
        return
    rig.run(1.0)
    rig.obstruct(0, True)
    rig.run(MIN_OPEN_MS / 1000)
    others = range(1, rig.cars)
    floors = [floor for floor in range(rig.floors) if others and floor != rig.elevator(0).sensed]
    calls = []
    for floor in floors:
        calls.append(rig.press(rig.cars - 1, rig.hall_button(floor), floor))
        rig.run(FINGER_S)
    rig.run(4.0)
    for _ in range(4):  # The switch may toggle at any time (D3). The judge checks that the door stays open.
        rig.obstruct(0, False)
        rig.run(rig.rng.uniform(0.3, 1.5))
        rig.obstruct(0, True)
        rig.run(rig.rng.uniform(0.3, 1.0))
    if others:
        rig.expect(
            lambda: all(rig.was_served(call, others) for call in calls),
            30,
            "G3",
            "while the door of car 0 is blocked, the other cars serve all hall calls",
            found=lambda: "not served: " + ", ".join(str(call) for call in calls if not rig.was_served(call, others)),
        )
    rig.obstruct(0, False)
    rig.expect(
        lambda: not rig.is_open(0),
        MAX_OPEN_MS / 1000,
        "D2",
        "after the obstruction clears, the door closes",
        found=lambda: "it is still open",
        car=0,
    )
    if rig.is_open(0):
        return
    rig.obstruct(0, True)
    rig.press(0, Button.CAB, 0 if rig.elevator(0).sensed != 0 else top)
    rig.expect(
        lambda: rig.is_open(0),
        60,
        "D3",
        "even while its obstruction switch is on, a car with a closed door drives to a call",
        found=lambda: "it did not reach its cab call",
        car=0,
    )
    rig.obstruct(0, False)
    rig.expect_all_served()


def stop(rig: Rig) -> None:
    """Hold down the stop button of a moving car for one to two seconds."""
    rig.start()
    top = rig.floors - 1
    rig.press(0, Button.CAB, top if rig.elevator(0).sensed != top else 0)
    if not rig.wait(lambda: rig.elevator(0).shaft.motor and rig.elevator(0).sensed is None, 20):
        rig.check(False, "C1", Level.MUST, "the car moves to its cab call", "it does not move", 0)
        return
    rig.hold_stop(0, True)
    rig.expect(
        lambda: not rig.elevator(0).shaft.motor,
        0.5,
        "C7",
        "when the stop button is pressed, the motor stops",
        Level.BEYOND,
        lambda: "it runs",
        0,
    )
    rig.expect(
        lambda: rig.elevator(0).stop_lamp,
        0.5,
        "C7",
        "when the stop button is pressed, its lamp lights",
        Level.BEYOND,
        lambda: "it is dark",
        0,
    )
    rig.run(1.0)
    rig.hold_stop(0, False)
    rig.expect(
        lambda: not rig.elevator(0).stop_lamp,
        0.5,
        "L6",
        "when the stop button is released, its lamp goes dark",
        Level.BEYOND,
        lambda: "it is lit",
        0,
    )
    rig.expect_all_served(level=Level.BEYOND)


TESTS = (
    ExamTest("single", "A single car serves the calls of all its buttons", single, cars=1, seconds=85),
    ExamTest("door", "The door stays open for three seconds", door, cars=1, seconds=35),
    ExamTest("obstruction", "A blocked door stays open", obstruction, seconds=40),
    ExamTest("stop", "The stop button stops the car", stop, cars=1, seconds=20),
)
