"""Tests with failures of controllers, motors and elevator servers."""

from collections.abc import Collection, Iterable
from functools import partial

from elevator.core.model import Button
from elevator.exam.bench import SERVED_S, Bench, ExamTest
from elevator.exam.group import PressedCall
from elevator.exam.results import Level
from elevator.exam.tests_single import FINGER_S, LAMP_S

TAKE_OVER_S = 10
"""How long other cars may take to start for the hall call of a failed car."""
KNOWN_S = 1.0
"""How long the others may take to learn of a cab call. The course does not kill a controller sooner."""
RESTARTED_S = 20
"""How long a restarted controller may take to serve a cab call again."""


def call_far_away(bench: Bench, panel: int) -> PressedCall:
    """Press a hall button at the floor farthest from all cars. Check that its lamps light. Return the call."""
    floor = bench.far_floor(bench.require_survivors())
    call = bench.press(panel, bench.hall_button(floor), floor)
    bench.expect_lit(call, bench.healthy, LAMP_S)
    return call


def is_approaching(bench: Bench, car: int, call: PressedCall) -> bool:
    """Return whether the motor of *car* drives it towards *call*."""
    return bench.elevator(car).shaft.motor * (call.floor - bench.height(car)) > 0


def answering_car(bench: Bench, call: PressedCall) -> int:
    """Wait until a car has left its floor towards *call*, and return it. If none does, return the nearest car.

    If several cars approach, the nearest one probably answers the call, and the others park.
    """

    def nearest() -> int:
        cars = bench.require_survivors()
        approaching = [car for car in cars if is_approaching(bench, car, call)]
        return min(approaching or cars, key=lambda car: abs(bench.height(car) - call.floor))

    bench.wait(lambda: is_approaching(bench, nearest(), call), 5)
    car = nearest()
    bench.wait(lambda: bench.elevator(car).sensed is None, 1)
    return car


def expect_take_over(bench: Bench, call: PressedCall, failed: Collection[int]) -> None:
    """Check that a car that is not in *failed* starts for *call* and serves it.

    Report the time until it starts, unless such a car is on its way already.
    """
    others = [car for car in range(bench.cars) if car not in failed]
    began_ms = bench.now_ms

    def has_started() -> bool:
        return any(is_approaching(bench, car, call) or bench.is_open(car, call.floor) for car in others)

    is_on_its_way = has_started()  # A car that parks may already drive towards the call. Its time would mean nothing.
    passed = bench.expect(
        has_started,
        TAKE_OVER_S,
        "G3",
        f"another car starts for the {call}",
        found=lambda: "none did",
        car=min(failed),
    )
    if passed and not is_on_its_way:
        bench.add_figure("take-over", bench.now_ms - began_ms, "ms")
    bench.expect(
        lambda: bench.was_served(call, others),
        SERVED_S,
        "G1",
        f"another car serves the {call}",
        found=lambda: "none did",
    )


def expect_recovery(bench: Bench, panel: int) -> None:
    """Make a new hall call. Check that its lamp lights on all panels again, and that all calls are served."""
    call_far_away(bench, panel)
    bench.expect_all_served()


def kill(bench: Bench) -> None:
    """Kill the controller of a car on its way to a hall call, and restart it later."""
    bench.start()
    panel = bench.rng.randrange(bench.cars)
    call = call_far_away(bench, panel)
    victim = answering_car(bench, call)
    bench.kill(victim)
    expect_take_over(bench, call, [victim])
    bench.expect_all_served()
    bench.run(max(0.0, TAKE_OVER_S - 5))
    call_far_away(bench, bench.require_survivors()[0])
    bench.expect_all_served()
    bench.start([victim])
    bench.run(2)
    expect_recovery(bench, victim)


def kill_pressed(bench: Bench) -> None:
    """Kill a controller within moments of a press. If any lamp of the call has lit, the call must be served."""
    bench.start()
    for number in range(4):
        panel = bench.rng.randrange(bench.cars)
        floor = bench.rng.choice(bench.vacant_floors(range(bench.cars)))
        bench.press(panel, bench.hall_button(floor), floor)
        bench.run(bench.rng.uniform(0.0, 0.3))
        victim = panel if number % 2 == 0 else (panel + 1) % bench.cars
        bench.kill(victim)
        bench.run(0.5)
        if not bench.expect_all_served():
            return
        bench.start([victim])


def kill_two(bench: Bench) -> None:
    """Kill all controllers but one while a hall call waits."""
    bench.start()
    last = bench.rng.randrange(bench.cars)
    call = call_far_away(bench, last)
    victims = [car for car in range(bench.cars) if car != last]
    bench.kill(*victims)
    expect_take_over(bench, call, victims)
    bench.run(max(0.0, TAKE_OVER_S - 5))
    call = call_far_away(bench, last)
    bench.expect_all_served()
    bench.start(victims)
    bench.run(2)
    expect_recovery(bench, victims[0])


def restart(bench: Bench) -> None:
    """Kill a controller that has cab calls, and restart it after three seconds."""
    bench.start()
    car = bench.rng.randrange(bench.cars)
    calls = _press_cabs(bench, car, 2)
    bench.run(KNOWN_S)
    bench.kill(car)
    bench.run(3)
    bench.start([car])
    _expect_cabs_served(bench, "the restarted controller", car, calls, RESTARTED_S)
    bench.expect_all_served()


def _press_cabs(bench: Bench, car: int, count: int) -> list[PressedCall]:
    """Press the cab buttons for the *count* floors farthest from *car*. Return the calls whose lamps light in time."""
    floors = sorted(range(bench.floors), key=lambda floor: -abs(floor - bench.height(car)))[:count]
    calls = []
    for floor in floors:
        call = bench.press(car, Button.CAB, floor)
        calls += [call] if bench.expect_lit(call, [car], LAMP_S) else []
        bench.run(FINGER_S)
    return calls


def _expect_cabs_served(
    bench: Bench, who: str, car: int, calls: Iterable[PressedCall], within_s: float, level: Level = Level.MUST
) -> None:
    """Check that *car* serves *calls*, each within *within_s* of the previous one. *who* describes the car."""
    for call in calls:
        is_served = partial(bench.was_served, call, [car])
        expected = f"{who} serves the {call}"
        bench.expect(is_served, within_s, "G1", expected, level, lambda: "it did not", car)


def blackout(bench: Bench) -> None:
    """Kill all controllers at once while calls are waiting, and restart them all."""
    bench.start()
    for car in range(bench.cars):
        _press_cabs(bench, car, 1)
    call_far_away(bench, 0)
    bench.kill(*range(bench.cars))
    bench.run(3)
    bench.start()
    bench.expect_served((Button.CAB,))
    bench.expect_served((Button.UP, Button.DOWN))


def motor(bench: Bench) -> None:
    """Cut the motor power of a car that answers a hall call. Then press a cab button in the car."""
    bench.start()
    call = call_far_away(bench, bench.rng.randrange(bench.cars))
    victim = answering_car(bench, call)
    bench.switch_power(victim, False)
    bench.faulty.add(victim)
    cab = bench.press(victim, Button.CAB, call.floor)
    expect_take_over(bench, call, [victim])
    bench.run(3)
    bench.switch_power(victim, True)
    bench.faulty.discard(victim)
    lit = [cab] if bench.is_lit(victim, cab) else []
    _expect_cabs_served(bench, "the car with restored motor power", victim, lit, SERVED_S)
    bench.expect_all_served()


def freeze(bench: Bench) -> None:
    """Suspend the controller of a car that stands at a floor, press a hall button there, and resume it later."""
    bench.start()
    victim = bench.rng.randrange(bench.cars)
    if not bench.wait(lambda: not bench.elevator(victim).shaft.motor and bench.elevator(victim).sensed is not None, 20):
        return
    bench.suspend(victim, True)
    here = bench.elevator(victim).sensed or 0
    panel = (victim + 1) % bench.cars
    call = bench.press(panel, bench.hall_button(here), here)
    bench.run(0.5)
    if not bench.is_lit(panel, call):  # The lamp lights once the others no longer wait for the suspended controller.
        bench.wait(lambda: bench.is_lit(panel, call), TAKE_OVER_S)
        call = bench.press(panel, call.button, call.floor)
    expect_take_over(bench, call, [victim])
    bench.suspend(victim, False)
    bench.run(5)
    expect_recovery(bench, victim)


def server(bench: Bench) -> None:
    """Stop the elevator server of a car for two seconds."""
    bench.start()
    car = bench.rng.randrange(bench.cars)
    calls = _press_cabs(bench, car, 1)
    bench.switch_server(car, False)
    bench.run(2)
    bench.switch_server(car, True)
    bench.expect(
        lambda: bench.has_client(car),
        RESTARTED_S,
        "C11",
        "the controller connects to its elevator server again",
        Level.BEYOND,
        lambda: bench.state_of(car),
        car,
    )
    _expect_cabs_served(bench, "the car with the restarted server", car, calls, SERVED_S, Level.BEYOND)
    bench.expect_all_served(level=Level.BEYOND)


TESTS = (
    ExamTest("kill", "One controller is killed while it answers a call", kill, seconds=35),
    ExamTest("kill-pressed", "A controller is killed within moments of a press", kill_pressed, seconds=25),
    ExamTest("kill-two", "All controllers but one are killed", kill_two, seconds=40, level=Level.BEYOND),
    ExamTest("restart", "A restarted controller serves its cab calls", restart, seconds=25),
    ExamTest("blackout", "All controllers are killed at once", blackout, seconds=25, level=Level.BEYOND),
    ExamTest("motor", "A motor loses its power while the car moves", motor, seconds=25),
    ExamTest("freeze", "A controller is suspended", freeze, seconds=25),
    ExamTest("server", "The elevator server is restarted", server, seconds=25),
)
