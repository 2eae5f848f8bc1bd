"""Tests with failures of controllers, motors and elevator servers."""

from collections.abc import Collection, Iterable
from functools import partial

from elevator.core.model import Button
from elevator.exam.group import PressedCall
from elevator.exam.results import Level
from elevator.exam.rig import SERVED_S, ExamTest, Rig
from elevator.exam.tests_single import FINGER_S, LAMP_S

TAKE_OVER_S = 10
"""How long another car may take to start for the hall call of a failed car. Some tests wait as long for the group to
notice a failure."""
KNOWN_S = 1.0
"""How long `restart` lets a controller run after its last cab call, so that the others can learn of the call."""
RESTARTED_S = 20
"""How long a restarted controller may take to serve its first cab call once it is ready, and then each further one.
Also how long a controller may take to connect to a restarted elevator server."""


def call_far_away(rig: Rig, panel: int) -> PressedCall:
    """Make and return a hall call on *panel*, as far from all healthy cars as possible. Check that its lamps light."""
    floor = rig.far_floor(rig.require_survivors())
    call = rig.press(panel, rig.hall_button(floor), floor)
    rig.expect_lit(call, rig.healthy, LAMP_S)
    return call


def is_approaching(rig: Rig, car: int, call: PressedCall) -> bool:
    """Return whether *car* has a motor command towards *call*, even if the motor is without power."""
    return rig.elevator(car).shaft.motor * (call.floor - rig.height(car)) > 0


def answering_car(rig: Rig, call: PressedCall) -> int:
    """Wait until a healthy car drives towards *call* and is between floors. Return that car.

    If several cars approach, return the nearest one: it probably answers the call, and the others park. If none
    approaches in time, return the healthy car nearest to the call.
    """

    def nearest() -> int:
        cars = rig.require_survivors()
        approaching = [car for car in cars if is_approaching(rig, car, call)]
        return min(approaching or cars, key=lambda car: abs(rig.height(car) - call.floor))

    rig.wait(lambda: is_approaching(rig, nearest(), call), 5)
    car = nearest()
    rig.wait(lambda: rig.elevator(car).sensed is None, 1)
    return car


def expect_take_over(rig: Rig, call: PressedCall, failed: Collection[int]) -> None:
    """Check that a car that is not in *failed* starts for *call* within TAKE_OVER_S, and then serves it.

    Add the time until the start as a figure, unless such a car is on its way already.
    """
    others = [car for car in range(rig.cars) if car not in failed]
    began_ms = rig.now_ms

    def has_started() -> bool:
        return any(is_approaching(rig, car, call) or rig.is_open(car, call.floor) for car in others)

    is_on_its_way = has_started()  # A car that parks may already drive towards the call. Its time would mean nothing.
    passed = rig.expect(
        has_started,
        TAKE_OVER_S,
        "G3",
        f"another car starts for the {call}",
        found=lambda: "none did",
        car=min(failed),
    )
    if passed and not is_on_its_way:
        rig.add_figure("take-over", rig.now_ms - began_ms, "ms")
    rig.expect(
        lambda: rig.was_served(call, others),
        SERVED_S,
        "G1",
        f"another car serves the {call}",
        found=lambda: "none did",
    )


def expect_recovery(rig: Rig, panel: int) -> None:
    """Make a hall call on *panel*. Check that its lamp lights on all healthy panels, and that all calls are served."""
    call_far_away(rig, panel)
    rig.expect_all_served()


def kill(rig: Rig) -> None:
    """Kill the controller of a car on its way to a hall call, and restart it later."""
    rig.start()
    panel = rig.rng.randrange(rig.cars)
    call = call_far_away(rig, panel)
    victim = answering_car(rig, call)
    rig.kill(victim)
    expect_take_over(rig, call, [victim])
    rig.expect_all_served()
    rig.run(max(0.0, TAKE_OVER_S - 5))
    call_far_away(rig, rig.require_survivors()[0])
    rig.expect_all_served()
    rig.start([victim])
    rig.run(2)
    expect_recovery(rig, victim)


def kill_pressed(rig: Rig) -> None:
    """Four times, make a hall call and kill a controller up to 0.3 s later. If the call lit a lamp, it must be served.

    Alternate between the controller of the pressed panel and the next one. Restart the victim once calls are served.
    """
    rig.start()
    for number in range(4):
        panel = rig.rng.randrange(rig.cars)
        floor = rig.rng.choice(rig.vacant_floors(range(rig.cars)))
        rig.press(panel, rig.hall_button(floor), floor)
        rig.run(rig.rng.uniform(0.0, 0.3))
        victim = panel if number % 2 == 0 else (panel + 1) % rig.cars
        rig.kill(victim)
        rig.run(0.5)
        if not rig.expect_all_served():
            return
        rig.start([victim])


def kill_two(rig: Rig) -> None:
    """Kill all controllers but one while a hall call waits, and restart them later."""
    rig.start()
    last = rig.rng.randrange(rig.cars)
    call = call_far_away(rig, last)
    victims = [car for car in range(rig.cars) if car != last]
    rig.kill(*victims)
    expect_take_over(rig, call, victims)
    rig.run(max(0.0, TAKE_OVER_S - 5))
    call = call_far_away(rig, last)
    rig.expect_all_served()
    rig.start(victims)
    rig.run(2)
    expect_recovery(rig, victims[0])


def restart(rig: Rig) -> None:
    """Kill a controller that has cab calls, and restart it after three seconds."""
    rig.start()
    car = rig.rng.randrange(rig.cars)
    calls = _press_cabs(rig, car, 2)
    rig.run(KNOWN_S)
    rig.kill(car)
    rig.run(3)
    rig.start([car])
    _expect_cabs_served(rig, "the restarted controller", car, calls, RESTARTED_S)
    rig.expect_all_served()


def _press_cabs(rig: Rig, car: int, count: int) -> list[PressedCall]:
    """In *car*, press the cab buttons for the *count* floors farthest from it. Check that their lamps light.

    Return the calls that lit their lamps or were served in time.
    """
    floors = sorted(range(rig.floors), key=lambda floor: -abs(floor - rig.height(car)))[:count]
    calls = []
    for floor in floors:
        call = rig.press(car, Button.CAB, floor)
        calls += [call] if rig.expect_lit(call, [car], LAMP_S) else []
        rig.run(FINGER_S)
    return calls


def _expect_cabs_served(
    rig: Rig, who: str, car: int, calls: Iterable[PressedCall], within_s: float, level: Level = Level.MUST
) -> None:
    """Check that *car* serves *calls*, each within *within_s* of the previous one.

    *who* names the car or its controller in the report.
    """
    for call in calls:
        is_served = partial(rig.was_served, call, [car])
        expected = f"{who} serves the {call}"
        rig.expect(is_served, within_s, "G1", expected, level, lambda: "it did not", car)


def blackout(rig: Rig) -> None:
    """Kill all controllers at once while calls are waiting, and restart them all."""
    rig.start()
    for car in range(rig.cars):
        _press_cabs(rig, car, 1)
    call_far_away(rig, 0)
    rig.kill(*range(rig.cars))
    rig.run(3)
    rig.start()
    rig.expect_served((Button.CAB,))
    rig.expect_served((Button.UP, Button.DOWN))


def motor(rig: Rig) -> None:
    """Cut the motor power of a car that answers a hall call, and press a cab button in it. Restore the power later."""
    rig.start()
    call = call_far_away(rig, rig.rng.randrange(rig.cars))
    victim = answering_car(rig, call)
    rig.switch_power(victim, False)
    rig.faulty.add(victim)
    cab = rig.press(victim, Button.CAB, call.floor)
    expect_take_over(rig, call, [victim])
    rig.run(3)
    rig.switch_power(victim, True)
    rig.faulty.discard(victim)
    lit = [cab] if rig.is_lit(victim, cab) else []
    _expect_cabs_served(rig, "the car with restored motor power", victim, lit, SERVED_S)
    rig.expect_all_served()


def freeze(rig: Rig) -> None:
    """Freeze the controller of a car that stands at a floor, and make a hall call there, on another panel.

    Another car must serve the call. Then resume the controller.
    """
    rig.start()
    victim = rig.rng.randrange(rig.cars)
    if not rig.wait(lambda: not rig.elevator(victim).shaft.motor and rig.elevator(victim).sensed is not None, 20):
        return
    rig.freeze(victim, True)
    here = rig.elevator(victim).sensed or 0
    panel = (victim + 1) % rig.cars
    call = rig.press(panel, rig.hall_button(here), here)
    rig.run(0.5)
    if not rig.is_lit(panel, call):  # The lamp lights once the others no longer wait for the frozen controller.
        rig.wait(lambda: rig.is_lit(panel, call), TAKE_OVER_S)
        call = rig.press(panel, call.button, call.floor)
    expect_take_over(rig, call, [victim])
    rig.freeze(victim, False)
    rig.run(5)
    expect_recovery(rig, victim)


def server(rig: Rig) -> None:
    """Stop the elevator server of a car that has a cab call, for two seconds."""
    rig.start()
    car = rig.rng.randrange(rig.cars)
    calls = _press_cabs(rig, car, 1)
    rig.switch_server(car, False)
    rig.run(2)
    rig.switch_server(car, True)
    rig.expect(
        lambda: rig.has_client(car),
        RESTARTED_S,
        "C11",
        "the controller connects to its elevator server again",
        Level.BEYOND,
        lambda: rig.state_of(car),
        car,
    )
    _expect_cabs_served(rig, "the car with the restarted server", car, calls, SERVED_S, Level.BEYOND)
    rig.expect_all_served(level=Level.BEYOND)


TESTS = (
    ExamTest("kill", "One controller is killed while it answers a call", kill, seconds=35),
    ExamTest("kill-pressed", "A controller is killed within moments of a press", kill_pressed, seconds=25),
    ExamTest("kill-two", "All controllers but one are killed", kill_two, seconds=40, level=Level.BEYOND),
    ExamTest("restart", "A restarted controller serves its cab calls", restart, seconds=25),
    ExamTest("blackout", "All controllers are killed at once", blackout, seconds=25, level=Level.BEYOND),
    ExamTest("motor", "A motor loses its power while the car moves", motor, seconds=25),
    ExamTest("freeze", "A controller is frozen (SIGSTOP)", freeze, seconds=25),
    ExamTest("server", "The elevator server is restarted", server, seconds=25),
)
