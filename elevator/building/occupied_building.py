"""A running building with passengers, which a web page can show and control.

The page may send all requests of the control socket except `state` and `events`, which it does not need, because the
web server keeps it up to date. It may also send `traffic`, which sets the passenger flow.
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
"""The shortest time between two reactions of the passengers to the cars. The demo also polls its controllers at this
interval."""
RATE_MAX = 6000


@frozen
class SetFlow:
    """Set the rate, in passengers per minute, and the profile of the passenger flow."""

    rate: int
    profile: Profile


class OccupiedBuilding:
    """A building and its passengers. The caller's loop must call `step_passengers` repeatedly."""

    def __init__(self, building: Building, flow: PassengerFlow) -> None:
        self.building = building
        self.crowd: Crowd = passengers.crowd(flow)
        self._stepped_ms = 0

    @property
    def is_empty(self) -> bool:
        """True if no passenger is present, and none will arrive unless the flow is changed."""
        return self.crowd.next_trip is None and not self.crowd.present

    def step_passengers(self) -> int:
        """Let the passengers react, at most once per STEP_MS; return the current time in milliseconds."""
        now_ms = self.building.clock_us() // 1000
        if now_ms >= self._stepped_ms + STEP_MS:
            self._stepped_ms = now_ms
            elevators = [server.elevator for server in self.building.servers]
            self.crowd, presses = passengers.step(self.crowd, elevators, now_ms)
            for press in presses:
                self.building.press(*press)
        return now_ms

    def scene(self) -> dict[str, object]:
        """Return the state of all cars and passengers as JSON values for the page."""
        building, crowd = self.building, self.crowd
        cars = {}
        for car, each in enumerate(building.servers):
            serves, has_client = each.listener is not None, each.client is not None
            cars[f"car{car}"] = view.car(each.elevator, each.address[1], serves, has_client, building.is_plugged(car))
        return {
            "people": view.people(crowd),
            "traffic": view.flow(crowd),
            "waits": view.waits(crowd, building.clock_us() // 1000),
            "recent": crowd.totals.recent,
            **cars,
        }

    def handle(
        self,
        line: bytes,
        more: Mapping[str, type[object]] | None = None,
        do_more: Callable[[str, object], None] | None = None,
    ) -> bytes:
        """Execute a request sent by the page, and return the reply.

        *more* lists further requests that the page may send, as a mapping from name to type; *do_more* executes them.
        """
        try:
            name, request = parse(line, {**PAGE, **(more or {})})
            if isinstance(request, SetFlow):
                self._set_flow(request)
            elif name in PAGE:
                execute(self.building, name, request)  # type: ignore[arg-type]  # a Request, as its name is in PAGE
            elif do_more is not None:
                do_more(name, request)
        except Refused as refusal:
            return json.dumps({"error": str(refusal)}).encode()
        return b'{"ok":true}'

    def _set_flow(self, request: SetFlow) -> None:
        if not 0 <= request.rate <= RATE_MAX:
            raise Refused(f"rate must be from 0 to {RATE_MAX}, not {request.rate}")
        now_ms = self.building.clock_us() // 1000
        self.crowd = passengers.change_flow(self.crowd, request.rate, request.profile, now_ms)


PAGE: Mapping[str, type[Request] | type[SetFlow]] = {
    **{name: kind for name, kind in REQUESTS.items() if kind not in (State, Events)},
    "traffic": SetFlow,
}
"""The requests that the page may send in any building: the type of each, by name."""
