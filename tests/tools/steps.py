"""What scenarios do to whole nodes and ask of them."""

from attrs import evolve
from group import Computer, Group

from elevator.building import elevator as machines
from elevator.building.elevator import EventKind, misbehaviour
from elevator.core.call_set import serve
from elevator.core.model import (
    Behaviour,
    Button,
    Call,
    Fault,
    Motor,
    Park,
    Policy,
)
from elevator.core.node import record

UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB


SPREAD, LOBBY = Policy(park=Park.SPREAD), Policy(park=Park.LOBBY)


def doors(computer: Computer) -> list[tuple[int, bool]]:
    return [(event.at_ms, bool(event.value)) for event in computer.events if event.kind is EventKind.DOOR]


def lamps(computer: Computer, button: Button, floor: int) -> list[bool]:
    """Return the history of one lamp."""
    return [
        bool(event.value)
        for event in computer.events
        if event.kind is EventKind.LAMP and (event.button, event.floor) == (button, floor)
    ]


def floor_of(computer: Computer) -> int | None:
    return computer.machine.sensed


def behaviour(computer: Computer) -> Behaviour:
    assert computer.node is not None
    return computer.node.drive.behaviour


def fault(computer: Computer) -> Fault:
    assert computer.node is not None
    return computer.node.drive.fault


def is_idle(group: Group) -> bool:
    return all(computer.node is None or behaviour(computer) is Behaviour.IDLE for computer in group.computers)


def is_dark(group: Group) -> bool:
    return not any(group.lit(computer.id) for computer in group.computers if computer.node is not None)


def settle(group: Group, within_ms: int = 60_000) -> None:
    """Run until everything is served, and check that no car did what none may."""
    group.run(300)
    group.run_until(lambda: is_dark(group) and is_idle(group), within_ms)
    for computer in group.computers:
        assert misbehaviour(computer.machine.counts) == 0


def motors(computer: Computer) -> list[tuple[int, Motor]]:
    return [(event.at_ms, Motor(int(event.value or 0))) for event in computer.events if event.kind is EventKind.MOTOR]


def lose_server(group: Group, for_ms: int) -> None:
    group[0].server = False
    group[0].unplug_server()
    group.run(for_ms)
    group[0].server = True


def serve_elsewhere(computer: Computer, call: Call) -> None:
    """Let a node learn that another car has served *call*."""
    assert computer.node is not None
    computer.disk.unread = evolve(record(computer.node), calls=serve(computer.node.calls, {call}))


def obstruct(computer: Computer, on: bool) -> None:
    computer.take(evolve(computer.machine, obstructed=on))


def stop_button(computer: Computer, on: bool) -> None:
    computer.take(evolve(computer.machine, stop=on))


def machine_door(computer: Computer) -> bool:
    return computer.machine.door


def power(computer: Computer, on: bool) -> None:
    computer.take(machines.power(computer.machine, on, computer.now_ms))


def cut(group: Group, *islands: set[int]) -> None:
    group.links = lambda sender, receiver: any(sender in island and receiver in island for island in islands)


def assert_able_on_trips_to(group: Group, *floors: int) -> None:
    """Send car 0 to one floor after the other, and see that it never takes itself for unable."""
    for floor in floors:
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            assert fault(group[0]) is Fault.NONE
            group.run(10)
        settle(group)


def group_with_twin() -> Group:
    """Return a group in which computer 1 uses the id of computer 0."""
    group = Group(at=(0, 3, 3))
    twin = group[1]
    twin.id = 0
    twin.kill()
    twin.disk.record = None
    twin.lot = 1 << 30
    twin.start()
    group.run(1500)
    return group


def places(group: Group) -> list[int | None]:
    return [computer.machine.sensed for computer in group.computers]
