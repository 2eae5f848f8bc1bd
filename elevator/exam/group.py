"""A group of controllers under test: how a test acts on it and observes it."""

from collections.abc import Callable, Collection, Iterable

from attrs import evolve, frozen

from elevator.building import elevators
from elevator.building import shaft as physics
from elevator.building.building import Building
from elevator.building.elevators import EventKind, SimulatedElevator
from elevator.core.call_set import mask
from elevator.core.model import Button, Motor, bits
from elevator.exam.call_history import name_of
from elevator.exam.controllers import Controllers
from elevator.exam.recording import Recording
from elevator.exam.results import CarEvent, Intervention
from elevator.exam.switch import EthernetSwitch

NEAR = 0.5
"""A car at most this many floors from a new call could serve the call before its lamps light."""


@frozen
class PressedCall:
    """A call, and when its button was pressed. The car of a cab call is not included."""

    button: Button
    floor: int
    pressed_ms: int = 0

    def __str__(self) -> str:
        return name_of(self.button, self.floor)


class ControllerGroup:
    """Simulated elevators, the controllers that drive them, and the network between the controllers."""

    def __init__(self, building: Building, controllers: Controllers, switch: EthernetSwitch | None) -> None:
        """*switch* connects the controllers' machines; None: the test cannot change the network."""
        self.building = building
        self.controllers = controllers
        self.switch = switch
        self.cars = len(building.servers)
        self.floors = building.servers[0].elevator.shaft.floors
        self.faulty: set[int] = set()
        """Cars to exclude from `healthy`, because the test has injected a fault such as a motor failure."""
        self.recording = Recording(building)
        self.start_floors = [server.elevator.sensed for server in building.servers]
        """The floor at which each car starts; None if it starts between floors."""

    @property
    def now_ms(self) -> int:
        return self.recording.now_ms

    # Acting

    def press(self, car: int, button: Button, floor: int, ms: int | None = None) -> PressedCall:
        """Press a button on the panel of *car* for *ms* (default: `Building.press_ms`). Return the call at once."""
        self.building.press(car, button, floor, ms)
        return PressedCall(button, floor, self.now_ms)

    def kill(self, *cars: int) -> None:
        """Kill all processes of the controllers of *cars* (SIGKILL), one controller after the other."""
        for car in cars:
            self.controllers.kill(car)
            self.note(f"kill controller {car}", car)

    def obstruct(self, car: int, on: bool) -> None:
        """Turn the obstruction switch of *car* on or off."""
        self._change(car, lambda elevator, _: evolve(elevator, obstructed=on))

    def hold_stop(self, car: int, on: bool) -> None:
        """Hold the stop button of *car* down, or release it."""
        self._change(car, lambda elevator, _: elevators.hold_stop(elevator, on))

    def switch_power(self, car: int, on: bool) -> None:
        """Switch the motor power of *car* on or off."""
        self._change(car, lambda elevator, now_ms: elevators.power(elevator, on, now_ms))
        self.note(f"power of motor {car} {'on' if on else 'off'}", car)

    def switch_server(self, car: int, on: bool) -> None:
        """Start or stop the elevator server of *car*. Stopping it disconnects the controller and stops the motor.

        Raise Refused if the server cannot start.
        """
        self.building.switch_server(car, on, self.building.settle())
        self.note(f"server {car} {'on' if on else 'off'}", car)

    def unplug(self, *cars: int) -> None:
        """Unplug the network cables of *cars*: their network interfaces lose the link."""
        for car in cars:
            self.network.plug(car, False)
            self.note(f"unplug controller {car}", car)

    def plug(self, *cars: int) -> None:
        for car in cars:
            self.network.plug(car, True)
            self.note(f"plug in controller {car}", car)

    def split(self, *groups: Collection[int]) -> None:
        """Partition the network into *groups* of cars; without groups, end the partition."""
        self.network.groups = [set(group) for group in groups] or None
        self.note(
            f"split {' | '.join(' '.join(map(str, sorted(group))) for group in groups)}" if groups else "reconnect"
        )

    def lose(self, percent: int) -> None:
        """From now on, lose each packet between the machines with a probability of *percent* %.

        The receivers of a broadcast lose it independently of each other.
        """
        self.network.loss = percent / 100
        self.note(f"lose {percent} % of packets")

    @property
    def network(self) -> EthernetSwitch:
        assert self.switch is not None, "the test needs a network"
        return self.switch

    def _change(self, car: int, change: Callable[[SimulatedElevator, int], SimulatedElevator]) -> None:
        now_us = self.building.settle()
        self.building.change(car, change(self.building.servers[car].elevator, now_us // 1000), now_us)

    def note(self, text: str, car: int | None = None) -> None:
        """Add an intervention to the timeline."""
        self.recording.interventions.append(Intervention(self.now_ms, text, car))

    # Observing

    @property
    def seen(self) -> list[CarEvent]:
        """All events of the elevators so far. Those of one car are in order of time."""
        return self.recording.seen

    def elevator(self, car: int) -> SimulatedElevator:
        self.building.settle()
        return self.building.servers[car].elevator

    def is_lit(self, car: int, call: PressedCall) -> bool:
        return bool(mask(self.elevator(car).lamps, call.button) >> call.floor & 1)

    def is_open(self, car: int, floor: int | None = None) -> bool:
        """Return whether the door of *car* is open; with *floor*, whether it is open there."""
        elevator = self.elevator(car)
        return elevator.door and (floor is None or elevator.sensed == floor)

    def height(self, car: int) -> float:
        """Return the height of *car* in floors; 1.0 is level with floor 1."""
        return physics.position(self.elevator(car).shaft, self.building.clock_us() // 1000)

    def far_floor(self, cars: Collection[int]) -> int:
        """Return a floor for a new hall call: the one whose nearest car is farthest away; of several, the lowest.

        Only *cars* and their panels count. Prefer a floor that no car is NEAR and whose `hall_button` is dark on all
        panels, because pressing a lit button tests nothing.
        """
        heights = [self.height(car) for car in cars]

        def rank(floor: int) -> tuple[bool, float, int]:
            distance = min(abs(floor - height) for height in heights)
            call = PressedCall(self.hall_button(floor), floor)
            is_dark = not any(self.is_lit(car, call) for car in cars)
            return is_dark and distance > NEAR, distance, -floor

        return max(range(self.floors), key=rank)

    def vacant_floors(self, cars: Iterable[int]) -> list[int]:
        """Return the floors at which none of *cars* is; if there are none, all floors.

        A car at the floor of a call serves the call without moving, so such a call would test little.
        """
        taken = {self.elevator(car).sensed for car in cars}
        return [floor for floor in range(self.floors) if floor not in taken] or [*range(self.floors)]

    def hall_button(self, floor: int) -> Button:
        """Return the up button of *floor*; at the top floor, the down button."""
        return Button.UP if floor < self.floors - 1 else Button.DOWN

    def has_client(self, car: int) -> bool:
        return self.building.servers[car].client is not None

    @property
    def healthy(self) -> list[int]:
        """The cars that are not in `faulty`, and whose controller is running, not frozen, and connected."""
        return [
            car
            for car in range(self.cars)
            if self.controllers.states[car] == "running" and self.has_client(car) and car not in self.faulty
        ]

    def panels_agree(self) -> bool:
        """Return whether the panels of all healthy cars show the same hall lamps."""
        shown = (self.elevator(car).lamps for car in self.healthy)
        return len({(lamps.up, lamps.down) for lamps in shown}) <= 1

    def since(self, at_ms: int, kind: EventKind, car: int | None = None) -> list[CarEvent]:
        """Return the events of *kind* at or after *at_ms*: those of *car*, or by default those of all cars."""
        return [each for each in self.seen if each.at_ms >= at_ms and each.kind is kind and car in (None, each.car)]

    def describe_panels(self) -> str:
        """Describe the lit lamps on the panels of all healthy cars."""
        return "; ".join(f"panel {car}: {lamps(self.elevator(car))}" for car in self.healthy)

    def state_of(self, car: int) -> str:
        if self.has_ended(car):
            return f"controller {car} exited with status {self.controllers.ended[car]}"
        elevator = self.elevator(car)
        if not self.has_client(car):
            return f"controller {car} is not connected to its elevator server"
        where = "between floors" if elevator.sensed is None else f"at floor {elevator.sensed}"
        motor = f"runs {Motor(elevator.shaft.motor).name.lower()}" if elevator.shaft.motor else "is off"
        return f"car {car} is {where}, and its motor {motor}"

    def has_ended(self, car: int) -> bool:
        """Return whether the controller of *car* has exited by itself."""
        return self.controllers.states[car] == "ended"

    def is_ready(self, car: int) -> bool:
        """Return whether the controller of *car* is connected and its car stands at a floor."""
        server = self.building.servers[car]
        return server.client is not None and server.elevator.sensed is not None and not server.elevator.shaft.motor


def lamps(elevator: SimulatedElevator) -> str:
    """Describe the lit button lamps of a panel, such as "up 1, cab 3"; "dark" if none is lit."""
    lit = [f"{button.name.lower()} {floor}" for button in Button for floor in bits(mask(elevator.lamps, button))]
    return ", ".join(lit) or "dark"
