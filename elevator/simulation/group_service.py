"""What a group owes to those who press its buttons, while it, or a part of it, is in order; a judge of a simulated run.

safety.py judges what must hold whatever fails, car_conduct.py how each car behaves. This judge holds each part into
which the group is cut to what is promised of it; its times are its own, so a mistake in the core cannot move them.

Where programs run, disks write and datagrams arrive:
 1. A noted press lights, and a served call darkens, on every panel it concerns, within LAMP_MS (L1, L3, L4). One press
    is noted once only (L5).
 2. Every lit hall call is claimed by a car that can serve it, soon after the one before it has failed (G3, G4, A2), and
    not by two. A call that is the only one goes to a car that is nearest, if all are at rest (A1).
 3. Nodes that can hear each other do, and those that are gone are taken for gone (G3). Where datagrams are lost they
    mostly do (G2). None forgets a run of which another still has a press (G1).
 4. A lamp comes on for a call that was not served, and goes dark for one that was, also on the panel of a node that has
    just started without its record or was frozen, as far as others have known it for long enough to tell it (G1, L4).
At any time:
 5. A press lights in the end where it was made, in whatever network (L3). Nodes that cannot be in one group say so
    (A3).
"""

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from elevator.core.call_set import mask
from elevator.core.model import Author, Button, Call, Calls, Dot, Fault
from elevator.simulation.car_conduct import Conduct, claims
from elevator.simulation.faults import GHOSTS, STRANGERS, FaultKind
from elevator.simulation.health import EARLIER_MS, SETTLED_MS, Health
from elevator.simulation.safety import Host, Oracle, calls_lit, covers

LAMP_MS = 30
LATE_TURNS = 3
"""... and so many turns that may be late: to say it, to acknowledge it, and to hear that all do."""
LOOK_MS = 100
DARK_MS, DARK_LOSSY_MS = 6000, 15_000
"""How long a press may stay dark at the most where it was made, also in the worst network."""
FLAPS = 4
"""Nodes may take each other for dead, wrongly, at one of so many looks at the most while datagrams are lost ..."""
FLAPS_LOOKS = 40
"""... of at least so many."""
FAST_MS = 50
"""Datagrams that take no longer hardly overtake each other."""
ORPHAN_MS = 700
"""How long a call may be without a car that can serve it, if nothing changes: 0.6 s, and a look."""
ORPHAN_LOSSY_MS = 2500
"""The same while datagrams are lost, or were not long ago: 2 s, and news that has to be repeated."""
SHIRKED_MS = 4500
"""The same where a stranger ought to take it and does not: 2 s more."""
LOSS_FORGOTTEN_MS = 15_000
DISPUTE_MS = 150
DISPUTE_MAX_MS = 25_000
"""A call older than that may be taken by every car."""


class Promises:
    """Follows one run; *oracle* and *conduct* are its other judges."""

    def __init__(self, health: Health, oracle: Oracle, conduct: Conduct) -> None:
        self.health = health
        self.oracle = oracle
        self.hosts = health.hosts
        self.clock = health.clock
        self.conduct = conduct
        self.looks = self.flaps = 0
        """How often nodes were looked at while nothing changed but datagrams were lost, and some not heard."""
        self.due: deque[tuple[int, int, Call, Dot | None]] = deque()
        """When something happened to a call, at which car, and the press that was made; None: it was served."""
        self.look_ms = 0
        self.upset_ms = 0
        """Which change of what is in order was the last to be taken notice of."""
        self.wanted_ms: dict[Call, int] = {}
        """When each call was made first since it was last served."""
        self.nearest: dict[Dot, frozenset[int]] = {}
        """Which cars stood nearest when a call was made while nobody else wanted anything."""
        self.orphan_ms: dict[tuple[tuple[int, ...], Call], int] = {}
        self.disputed_ms: dict[Call, int] = {}

    def judge(self, host: Host) -> None:
        """Judge what has just happened at *host*, and what is due."""
        if self.oracle.happened:
            self.take_happened()
        if self.health.is_stranger(host):
            return
        self.judge_panel(host)
        now_ms = self.clock()
        while self.due and self.due[0][0] + LAMP_MS + LATE_TURNS * self.health.late_ms <= now_ms:
            self.judge_lamp(*self.due.popleft())
        if now_ms >= self.look_ms:
            # Where a stranger takes no calls, one that was taken but for a moment is left alone anew from then on.
            self.look_ms = now_ms + (0 if self.health.shirkers else LOOK_MS)
            self.look()

    def take_happened(self) -> None:
        now_ms = self.clock()
        for host, call, dot, first in self.oracle.happened:
            if dot is not None:
                self.wanted_ms.setdefault(call, now_ms)
            elif first:
                self.forget(call)
            if self.health.is_stranger(host):
                continue
            seen = self.health.of(host)
            if dot is not None:
                if seen.pressed_ms != now_ms or call not in seen.pressed:
                    self.oracle.fail(f"node {host.id} noted {call} without a new press")
                self.due.append((now_ms, host.id, call, dot))
                if len(self.oracle.open) == 1 and call.button is not Button.CAB:
                    self.note_nearest(call, dot)
                continue
            if first:
                self.due.append((now_ms, host.id, call, None))
            self.conduct.judge_service(host, seen, call, first)
        self.oracle.happened.clear()

    def forget(self, call: Call) -> None:
        """Begin anew with *call*, which has just been served."""
        self.wanted_ms.pop(call, None)
        self.disputed_ms.pop(call, None)
        self.orphan_ms = {key: ms for key, ms in self.orphan_ms.items() if key[1] != call}

    def note_nearest(self, call: Call, dot: Dot) -> None:
        """Note who is to serve the only call there is, if all cars are in order and at rest."""
        machines = [host.machine for host in self.hosts]
        at_rest = all(not machine.door and not machine.shaft.motor for machine in machines)
        steady = all(self.health.is_steady(host, self.health.of(host)) for host in self.hosts)
        if not at_rest or not steady or self.health.active or not self.health.is_settled(self.clock()):
            return
        ways = {
            host.id: abs(host.machine.sensed - call.floor) for host in self.hosts if host.machine.sensed is not None
        }
        self.nearest[dot] = frozenset(id for id, way in ways.items() if way == min(ways.values()))

    def judge_kept(self, host: Host, forgotten: AbstractSet[Author]) -> None:
        """Judge whether a node has just *forgotten* runs of which others, who have long been in touch, keep presses."""
        long_ago_ms = self.clock() - (DARK_LOSSY_MS if self.health.weathers else SETTLED_MS)
        if not forgotten or self.health.strangers or self.health.changed_ms > long_ago_ms:
            return  # Somebody may have brought back a press that all others had forgotten.
        if any(each.kind is FaultKind.DEAF for each in self.health.active):
            return
        for other in self.health.neighbours(host, in_noise=True):
            known = {} if other.node is None else other.node.calls.live
            for dot, call in other.durable.live.items():
                if dot.author in forgotten and dot in known and self.oracle.born[dot] < long_ago_ms:
                    self.oracle.fail(f"node {host.id} forgets whose {call} was, and node {other.id} still has it")

    def judge_lamp(self, at_ms: int, car: int, call: Call, dot: Dot | None) -> None:
        """Judge what has become of a press, or of a service, LAMP_MS later."""
        pressed = dot is not None
        nearest = self.nearest.pop(dot, None) if dot is not None else None
        if not self.health.is_settled(at_ms) or not self.health.is_present(self.hosts[car]):
            return
        if (dot not in self.oracle.open) if pressed else (call in self.oracle.open.values()):
            return
        if nearest is not None and len(self.oracle.open) == 1 and self.health.cars_changed_ms < at_ms:
            takers = {host.id for host in self.hosts if host.node is not None and claims(host.node, call)}
            if not nearest & takers:
                self.oracle.fail(f"{call} is left to {sorted(takers)}, and {sorted(nearest)} are nearer")
        for host in self.hosts:
            concerned = self.health.shows(host) and self.health.part(host) == self.health.part(self.hosts[car])
            if call.button is Button.CAB:
                concerned = concerned and host.id == call.car
            if pressed and host.is_failing:  # What it was writing while its disk was slow is on its way still.
                continue
            if concerned and (call in self.health.of(host).lit) != pressed:
                state = "dark" if pressed else "lit"
                self.oracle.fail(f"{call} is still {state} at car {host.id}, {self.clock() - at_ms} ms later")

    def judge_panel(self, host: Host) -> None:
        """Judge what has changed at a car and on its panel."""
        seen = self.health.of(host)
        if seen.lamps is not host.machine.lamps:
            seen.lamps = host.machine.lamps
            lit = frozenset(calls_lit(host, host.machine.lamps))
            self.judge_lit(host, sorted(lit - seen.lit), sorted(seen.lit - lit))
            seen.lit = lit
        self.conduct.judge(host)

    def judge_lit(self, host: Host, lit: Sequence[Call], dark: Sequence[Call]) -> None:
        """Judge lamps that have come on or gone dark where others know better, and are there to tell."""
        others = self.health.neighbours(host)
        if host.node is None or not others:
            return
        now_ms, long_ago_ms = self.clock(), self.clock() - EARLIER_MS
        for call in dark:
            if call.button is Button.CAB and self.oracle.is_disowned(host, host.node, call):
                continue
            dots = [dot for other in others for dot, c in other.durable.live.items() if c == call]
            if any(dot in self.oracle.open and self.oracle.born[dot] < long_ago_ms for dot in dots):
                self.oracle.fail(f"{call} goes dark at car {host.id}, and others know that it was not served")
        for call in lit:
            dots = [dot for dot, c in host.node.calls.live.items() if c == call]
            told = all(any(is_served(other.durable, dot) for other in others) for dot in dots)
            if dots and told and self.oracle.served_at_ms.get(call, 0) < long_ago_ms:
                self.oracle.fail(f"{call} is lit again at car {host.id}, and others know that it was served")
            for other in others if self.health.is_settled(now_ms) else ():
                if other.is_failing:  # It has been told so, and what it asked for may take longer than what ailed it.
                    continue
                if call not in other.durable.live.values() and not any(covers(other.durable.seen, dot) for dot in dots):
                    self.oracle.fail(f"{call} is lit at car {host.id} and not on the disk of node {other.id}")

    def look(self) -> None:
        """Judge what takes no event to go wrong."""
        if self.upset_ms != self.health.upset_ms:  # There may be reasons now for what was not right before.
            self.upset_ms = self.health.upset_ms
            self.orphan_ms.clear()
            self.disputed_ms.clear()
        for host in self.hosts[: self.health.cars]:
            self.judge_panel(host)
            if self.health.shows(host):
                self.conduct.look(host)
        self.judge_dark()
        if len(self.hosts) > self.health.cars and self.health.noise == 1:
            self.judge_stranger(self.hosts[-1])
        if self.health.weathers and self.health.weathers == self.health.noise:
            self.judge_flapping()
        noise = self.health.noise - (0 if self.is_slow() else self.health.weathers)
        if noise > self.health.shirkers or self.clock() - self.health.stranger_ms < SETTLED_MS:
            return
        settled = self.health.is_settled(self.clock()) and self.clock() - self.health.lossy_ms > LOSS_FORGOTTEN_MS
        parts: dict[tuple[int, ...], list[Host]] = {}
        for host in self.hosts[: self.health.cars]:
            if self.health.is_present(host):
                parts.setdefault(self.health.part(host), []).append(host)
        for part, hosts in parts.items():
            self.judge_claims(part, hosts)
            if settled and not self.health.shirkers:
                self.judge_hearing(hosts)

    def is_slow(self) -> bool:
        """Tell whether datagrams take so long that they overtake each other."""
        return any(each.kind is FaultKind.WEATHER and each.delay_ms > FAST_MS for each in self.health.active)

    def judge_dark(self) -> None:
        """Judge whether presses have lit in the end where they were made, whatever the network is like (L3)."""
        lossy = self.health.weathers or self.clock() - self.health.lossy_ms < LOSS_FORGOTTEN_MS
        long_ago_ms = self.clock() - (DARK_LOSSY_MS if lossy else DARK_MS)
        for dot, call in self.oracle.open.items():
            if self.oracle.born[dot] > long_ago_ms:
                return
            host = self.oracle.runs[dot.author]
            if (
                host.node is None
                or host.node.me != dot.author
                or self.health.is_stranger(host)
                or not self.health.shows(host)
            ):
                continue
            if self.health.of(host).steady_ms > long_ago_ms:
                continue
            if not mask(host.machine.lamps, call.button) >> call.floor & 1 and not self.is_excused(host):
                self.oracle.fail(f"{call} is still dark at car {host.id} where it was made")

    def is_excused(self, host: Host) -> bool:
        """Tell whether a press at *host* may stay dark: its disk takes nothing, and nobody is there to hold it."""
        if not host.is_failing and not host.has(FaultKind.DISK):
            return False
        ghosts = any(trouble.kind in (*GHOSTS, *STRANGERS, FaultKind.DEAF) for trouble in self.health.active)
        return ghosts or not self.health.neighbours(host, in_noise=True)

    def judge_stranger(self, stranger: Host) -> None:
        """Judge whether nodes that cannot be in one group have said so (A3)."""
        now_ms = self.clock()
        if stranger.floors == self.hosts[0].floors:
            those = [host for host in self.hosts if host.node_id == stranger.node_id]
        else:
            those = list(self.hosts)
        those = [
            host
            for host in those
            if self.health.is_present(host) and self.health.part(host) == self.health.part(stranger)
        ]
        if len(those) < 2 or now_ms - self.health.changed_ms < SETTLED_MS:
            return
        for host in those:
            if host.node is not None and not host.node.oddities:
                self.oracle.fail(f"node {host.id} has not said that node {stranger.node_id} should not be there")
            if stranger.floors == self.hosts[0].floors and not self.oracle.has_rivals(host.node):
                self.oracle.fail(f"node {host.id} has forgotten that another uses its id")

    def judge_flapping(self) -> None:
        """Judge whether nodes that hear each other badly, but for long, mostly know that they are there (G2)."""
        if self.clock() - self.health.changed_ms < 2 * SETTLED_MS or self.is_slow():
            self.looks = self.flaps = 0
            return
        present = [host for host in self.hosts[: self.health.cars] if self.health.is_present(host)]
        heard = [
            (host, 0 if host.node is None or host.node.outgoing.message is None else host.node.outgoing.message.hears)
            for host in present
        ]
        self.looks += 1
        self.flaps += any(
            not hears >> other.id & 1
            for host, hears in heard
            for other in present
            if other is not host and self.health.part(other) == self.health.part(host)
        )
        if self.looks >= FLAPS_LOOKS and self.flaps * FLAPS > self.looks:
            self.oracle.fail(f"nodes do not hear each other at {self.flaps} of {self.looks} looks")

    def judge_claims(self, part: tuple[int, ...], hosts: Sequence[Host]) -> None:
        """Judge whether in one part of the group each lit hall call is taken, and by one car only."""
        now_ms = self.clock()
        serving = [host for host in hosts if self.health.can_serve(host)]
        nodes = [host.node for host in serving if host.node is not None]
        certain = not all(self.health.may_seem_unable(host) for host in serving)
        lit = {call for host in hosts if self.health.shows(host) for call in self.health.of(host).lit}
        lit &= set(self.oracle.open.values())  # What has been served may be news that a slow disk keeps back.
        is_lossy = self.health.weathers > 0 or now_ms - self.health.lossy_ms <= LOSS_FORGOTTEN_MS
        allowed_ms = ORPHAN_LOSSY_MS if is_lossy else ORPHAN_MS
        allowed_ms = SHIRKED_MS if self.health.shirkers else allowed_ms
        self.orphan_ms = {key: ms for key, ms in self.orphan_ms.items() if key[0] != part or key[1] in lit}
        for call in lit:
            if call.button is Button.CAB:
                continue
            if not certain or any(claims(node, call) for node in nodes):
                self.orphan_ms.pop((part, call), None)
            elif now_ms - self.orphan_ms.setdefault((part, call), now_ms) > allowed_ms:
                self.oracle.fail(f"no car that could serves {call}")
        if not self.health.shirkers and not self.health.weathers:  # What nobody takes in time, every car takes.
            self.judge_disputes(serving)

    def judge_hearing(self, hosts: Sequence[Host]) -> None:
        """Judge whether the nodes of one part say that they hear each other, and nobody else."""
        everybody = sum(1 << host.id for host in hosts)
        for host in hosts:
            assert host.node is not None
            hears = 0 if host.node.outgoing.message is None else host.node.outgoing.message.hears
            if hears | 1 << host.id != everybody:
                self.oracle.fail(f"node {host.id} hears {hears:b} of {everybody:b}")

    def judge_disputes(self, hosts: Sequence[Host]) -> None:
        now_ms = self.clock()
        since_ms = max(self.health.changed_ms, self.health.cars_changed_ms)
        if now_ms - self.health.lossy_ms < LOSS_FORGOTTEN_MS:  # A program that has lost its record is believed late.
            since_ms += SETTLED_MS
        able = [host.node for host in hosts if host.node is not None and host.node.drive.fault is Fault.NONE]
        for call, wanted_ms in self.wanted_ms.items():
            if call.button is Button.CAB or wanted_ms < since_ms or now_ms - wanted_ms > DISPUTE_MAX_MS:
                continue
            if sum(claims(node, call) for node in able) < 2:
                self.disputed_ms.pop(call, None)
            elif now_ms - self.disputed_ms.setdefault(call, now_ms) > DISPUTE_MS:
                self.oracle.fail(f"two cars keep claiming {call}")


def is_served(calls: Calls, dot: Dot) -> bool:
    """Tell whether *calls* know that a press has been served, or replaced."""
    return covers(calls.seen, dot) and dot not in calls.live
