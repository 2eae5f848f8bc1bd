"""How long a demo waits for its last passengers, and whether it passes."""

from collections.abc import Mapping

from attrs import frozen

from elevator.building import elevators, passengers
from elevator.building import shaft as physics
from elevator.building.shaft import Shaft
from elevator.cli.demo_picture import Scene
from elevator.cli.wording import counted
from elevator.core.door import DOOR_OPEN_MS

GRACE_MS = 60_000
"""The minimum of `grace_ms`. It applies to buildings with up to four floors."""
STOP_MS = DOOR_OPEN_MS + 500
"""How much time a stop adds to a trip: the dwell time, and half a second for two reactions of the controller."""


def grace_ms(shaft: Shaft) -> int:
    """Return the longest time that a demo waits for passengers who are still under way when its time is up.

    In the worst case, the only car has just passed the passenger, in the passenger's direction. It goes on to the
    end of the shaft and returns to the other end. Only on its next pass does it pick up the passenger and reach the
    destination. These are up to three passes, each with a stop at every floor.
    """
    return max(GRACE_MS, 3 * (shaft.floors - 1) * (physics.spacing(shaft) + STOP_MS))


@frozen
class Verdict:
    """The exit status of a demo and the lines to print at its end."""

    status: int
    lines: list[str]


def judge(scene: Scene, ended: Mapping[int, int], cut_short: bool, noun: str = "node") -> Verdict:
    """Return the verdict on a demo that has ended.

    A demo fails if a controller exited by itself, sent an unsafe command or let its car go out of bounds, or if a
    passenger was not served. If the user interrupted the demo (*cut_short*), passengers who are still under way do not
    make it fail. *ended* maps the number of each controller that exited by itself to its exit status. *noun* is "node"
    or "controller".
    """
    tally = passengers.tally(scene.crowd, scene.now_ms)
    waits = f", mean wait {tally.mean_wait_ms / 1000:.1f} s, longest {tally.longest_wait_ms / 1000:.1f} s"
    lines = [f"{counted(tally.served, 'passenger')} served{waits if tally.served or tally.under_way else ''}"]
    if tally.under_way:
        lines.append(f"{counted(tally.under_way, 'passenger')} {'still under way' if cut_short else 'never served'}")
    lines += [f"{noun} {number} exited by itself with status {status}" for number, status in sorted(ended.items())]
    failed = bool(ended) or (tally.under_way > 0 and not cut_short)
    for car, elevator in enumerate(scene.elevators):
        counts = elevator.counts
        if elevators.misbehaviour(counts):
            failed = True
            lines.append(
                f"unsafe commands to car {car}: motor with door open: {counts.motor_with_door_open}, "
                f"door with motor on: {counts.door_with_motor_on}, door between floors: {counts.door_between_floors}, "
                f"out of bounds: {counts.out_of_bounds}"
            )
    if failed:
        lines += list(scene.log)[-10:]
    return Verdict(int(failed), lines)
