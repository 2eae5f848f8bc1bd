"""A running building with people in it, and what a page may do to both.

The page's requests have the form of the control socket's. Those that only read are not among them: what there is to see
is sent without being asked for.
"""

import json
from collections.abc import Callable, Mapping

from attrs import frozen

from elevator.building import passengers, view
from elevator.building.building import Building
from elevator.building.control import REQUESTS, Events, Refused, Request, State, parse
from elevator.building.operations import execute
from elevator.building.passengers import Crowd, PassengerFlow, Profile

STEP_MS = 10
"""How often people look."""
RATE_MAX = 6000


@frozen
class SetTraffic:
    """Let *rate* passengers a minute come, in the shares of a *profile*."""

    rate: int
    profile: Profile


class OccupiedBuilding:
    """The passengers of *building*, who look and act when `look` is called."""

    def __init__(self, building: Building, traffic: PassengerFlow) -> None:
        self.building = building
        self.crowd: Crowd = passengers.crowd(traffic)
        self._stepped_ms = 0

    @property
    def is_empty(self) -> bool:
        """Whether nobody is here and nobody comes."""
        return self.crowd.next_trip is None and not self.crowd.present

    def step_passengers(self) -> int:
        """Let everybody see the cars and act if it is time; return the time in milliseconds."""
        now_ms = self.building.clock_us() // 1000
        if now_ms >= self._stepped_ms + STEP_MS:
            self._stepped_ms = now_ms
            seen = [elevator.machine for elevator in self.building.elevators]
            self.crowd, presses = passengers.step(self.crowd, seen, now_ms)
            for press in presses:
                self.building.press(*press)
        return now_ms

    def scene(self) -> dict[str, object]:
        """Return what a page shows of the cars and the people."""
        elevators = self.building.elevators
        return dict(
            view.scene(
                [elevator.machine for elevator in elevators],
                self.building.ports,
                [elevator.client is not None for elevator in elevators],
                [self.building.is_plugged(car) for car in range(len(elevators))],
                self.crowd,
                self.building.clock_us() // 1000,
            )
        )

    def handle(
        self,
        line: bytes,
        more: Mapping[str, type[object]] | None = None,
        do_more: Callable[[str, object], None] | None = None,
    ) -> bytes:
        """Do what one *line* from the page asks for, which is in PAGE or in *more*; *do_more* does the latter."""
        try:
            name, request = parse(line, {**PAGE, **(more or {})})
            if isinstance(request, SetTraffic):
                self._set_traffic(request)
            elif name in PAGE:
                execute(self.building, name, request)  # type: ignore[arg-type]  # PAGE says so
            elif do_more is not None:
                do_more(name, request)
        except Refused as refusal:
            return json.dumps({"error": str(refusal)}).encode()
        return b'{"ok":true}'

    def _set_traffic(self, request: SetTraffic) -> None:
        if not 0 <= request.rate <= RATE_MAX:
            raise Refused(f"rate is from 0 to {RATE_MAX}")
        now_ms = self.building.clock_us() // 1000
        self.crowd = passengers.change_flow(self.crowd, request.rate, request.profile, now_ms)


PAGE: Mapping[str, type[Request] | type[SetTraffic]] = {
    **{name: kind for name, kind in REQUESTS.items() if kind not in (State, Events)},
    "traffic": SetTraffic,
}
"""What the page may ask for."""
