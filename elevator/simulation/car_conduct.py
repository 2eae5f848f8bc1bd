"""What a car owes those who press its buttons and ride in it, while it is in order; a judge of a simulated run.

It looks at the buttons, lamps, door and motor of one car, and at what its node claims and knows.

At each sweep of a panel:
 1. A button found down that was up has been noted, whatever the node or its car is doing (L5).
 2. A car that comes to a floor stops there for its own cab call, and for a hall call going its way that it claims (C1).
At each door:
 3. It stays open a full period after the last hall call was served, after another direction was announced, and after an
    obstruction was seen to end (D2, C3). Up and down are not served within one period (C2).
 4. It opens for some call of that floor only (C1), and not for a new one for which another stands open (A1). It shuts
    when its period is over (D1), and is not kept open for ever by somebody who keeps pressing while passengers wait to
    be carried (C6). One that is idle serves a press on the spot (C6), one that is out of service no hall call (C7).
At each departure:
 5. A car does not turn its back on a cab call that lies ahead, nor on passengers who boarded for the direction it
    announced (C1, C2), and does not leave a hall call behind that it could serve with its open door (C3, C6). One that
    does not know where it is looks below first, and above when it has found nothing for long (C4). None sets out before
    its program, if new or thawed, has listened (C10).
At any time:
 6. A program that is new, or was frozen, promises nothing before it has listened, nor any program what others, who have
    long been in touch, have not told that they hold (L3).
 7. A car that is in order does not take itself for unable (C8). The floor indicator and the stop lamp show what is
    (L6). A car whose stop button is down stands (C7), and so does one whose sensor is dead (C5).
"""

from elevator.building.elevator import Machine
from elevator.core.call_set import mask
from elevator.core.model import EVERY_CAR, NEVER_MS, Button, Buttons, Call, Direction, Fault, Inputs, Motor
from elevator.core.node import Node
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.faults import FaultKind
from elevator.simulation.health import EARLIER_MS, SETTLED_MS, STALE_MS, STEADY_MS, USUAL_TRAVEL_MS, Health, Seen
from elevator.simulation.safety import DOOR_MS, Host, Oracle, covers

HAMMERED_MS = 14_900
"""After so long an open door need not serve presses on the spot any more."""
NEW_MS = 250
"""A car that stands open where a call is made has taken it by then, or will not."""
KEPT_OPEN_MS = 45_000
"""Longer than that no door is open while its car has a cab call elsewhere."""
SHOWN_MS = 300
STOPPED_MS = 100
ABLE_MS = 5000
LISTEN_MS = 250
LISTENED_MS = 350
"""The least and the longest time for which a program that is new or was frozen listens before it does anything."""
SEARCH_MS = 6000
"""How long a car may look for a floor below: it takes no longer, unless its motor stands."""


class Conduct:
    """Follows one run; *oracle* is its other judge."""

    def __init__(self, health: Health, oracle: Oracle) -> None:
        self.health = health
        self.oracle = oracle
        self.hosts = health.hosts
        self.clock = health.clock

    def note_swept(self, host: Host, inputs: Inputs | None) -> None:
        """Take notice of what the program of *host* is going to be told by its panel."""
        seen, old, now_ms = self.health.of(host), host.inputs, self.clock()
        assert host.node is not None
        seen.before = (host.node, host.machine)
        seen.pressed, seen.pressed_ms = frozenset(), now_ms
        if inputs is None:
            return
        down, was = inputs.pressed, Buttons() if old is None else old.pressed
        if down != was:
            seen.pressed = frozenset(
                Call(button, floor, host.id if button is Button.CAB else EVERY_CAR)
                for button, floor in panel_buttons(host.machine.shaft.floors)
                if (mask(down, button) & ~mask(was, button)) >> floor & 1
            )
        if old is not None and old.obstructed and not inputs.obstructed and host.machine.door:
            seen.cleared_ms = now_ms

    def note_going_on(self, host: Host) -> None:
        """Take notice that the program of *host*, stopped before it acted on what it was told, does so now."""
        assert host.node is not None
        assert host.under_way is not None
        seen = self.health.of(host)
        if host.under_way.inputs is host.node.inputs:
            seen.pressed = frozenset()
        seen.pressed_ms, seen.before = self.clock(), (host.node, host.machine)
        seen.stood_ms = self.clock() - host.under_way.now_ms

    def judge_going_on(self, host: Host) -> None:
        """Judge what it has made of that: it does nothing that it has decided by what it saw too long ago (C10)."""
        seen, machine = self.health.of(host), host.machine
        acts = machine.shaft.motor or (seen.before is not None and machine.door != seen.before[1].door)
        if seen.stood_ms >= STALE_MS and acts and not host.orders:
            self.oracle.fail(f"car {host.id} does what its program decided {seen.stood_ms} ms ago")
        if host.node is not None and seen.before is not None and not self.health.is_stranger(host):
            self.judge_presses(host, seen, seen.before[0], host.node)
        seen.before, seen.stood_ms, seen.pressed = None, 0, frozenset()

    def take_spot(self, host: Host, seen: Seen, node: Node) -> None:
        """Take notice of presses that were served in the turn in which they were made: no node ever told of them."""
        # Who else uses its id may have pressed the same.
        for call in seen.pressed - {call for dot, call in node.calls.live.items() if dot.author == node.me}:
            if call.floor == host.machine.sensed:
                self.judge_service(host, seen, call, first=True)

    def judge_service(self, host: Host, seen: Seen, call: Call, first: bool) -> None:
        """Judge the service of *call*, for the first time or of one that had been served before."""
        if call.button is not Button.CAB:
            if first:
                self.judge_hall_service(host, seen, call)
            else:
                seen.again_ms = self.clock()
        seen.acted_ms = self.clock()

    def judge_hall_service(self, host: Host, seen: Seen, call: Call) -> None:
        now_ms = self.clock()
        stopped = host.machine.stop and seen.machine.stop and host.knows_ms() - seen.stop_ms >= EARLIER_MS
        blocked = seen.machine.door and self.health.is_blocked(host, seen) and now_ms - seen.acted_ms > DOOR_MS + 1000
        if stopped or blocked:
            self.oracle.fail(f"car {host.id} serves {call} and is out of service")
        if seen.served and seen.machine.door and self.opened_itself(host, seen):
            button, ms = seen.served
            if button is not call.button and now_ms - ms < DOOR_MS:
                self.oracle.fail(f"car {host.id} served up and down within {now_ms - ms} ms")
        seen.served = (call.button, now_ms - seen.stood_ms)

    def opened_itself(self, host: Host, seen: Seen) -> bool:
        return host.node is not None and host.node.me == seen.opened_by

    def judge(self, host: Host) -> None:
        """Judge what the car of *host* has just done."""
        seen = self.health.of(host)
        if seen.pressed and seen.pressed_ms == self.clock() and host.node is not None and host.machine.door:
            self.take_spot(host, seen, host.node)
        if host.node is not None and host.node.lit is not seen.promised:
            self.judge_promises(host, seen, host.node)
        if host.machine is not seen.machine:
            self.judge_machine(host, seen)

    def judge_promises(self, host: Host, seen: Seen, node: Node) -> None:
        """Judge whether a program promises what others, who have long been in touch, have not told that they hold (L3).

        Nor does one promise anything that has just started or gone on.
        """
        fresh, seen.promised = sorted(node.lit - seen.promised), node.lit
        if fresh and self.clock() - seen.listens_ms < LISTEN_MS:
            self.oracle.fail(f"node {host.id} promises {fresh} before its program has listened")
        in_touch = fresh and self.clock() - seen.run_ms >= SETTLED_MS  # Else others may not hear it: that it knows.
        for other in self.health.neighbours(host) if in_touch else ():
            told = self.oracle.told.get(other.node.me, {}) if other.node is not None else {}
            for call in fresh:
                dots = [dot for dot, each in node.calls.live.items() if each == call]
                if not any(covers(told, dot) for dot in dots):
                    self.oracle.fail(f"node {host.id} promises {call}, and node {other.id} has not told that it has it")

    def judge_machine(self, host: Host, seen: Seen) -> None:
        now_ms, old, new = self.clock(), seen.machine, host.machine
        seen.machine = new
        if new.sensed != old.sensed:
            seen.sensed_ms = now_ms
        if new.stop != old.stop:
            seen.stop_ms = now_ms
        if new.obstructed != old.obstructed:
            seen.obstructed_ms = now_ms
        running = new.shaft.motor is not Motor.STOP
        if not running or new.sensed is not None:
            seen.searches_ms = None
        if not running or new.shaft.powered:
            seen.stuck_ms = None
        elif seen.stuck_ms is None:
            seen.stuck_ms = now_ms
        if new.door and not old.door:
            self.judge_opening(host, seen)
        elif old.door and not new.door:
            self.judge_shutting(host, seen)
        if running and new.shaft.motor is not old.shaft.motor:
            self.judge_departure(host, seen, Direction(new.shaft.motor))

    def judge_opening(self, host: Host, seen: Seen) -> None:
        now_ms = self.clock()
        if seen.opened_ms is not None:  # It has rested since it came here, and is free to go anywhere.
            seen.heading = None
        seen.opened_ms = now_ms
        # It may have it from its record that its door is open, and which way it goes.
        kept, seen.kept_door = seen.kept_door, None
        is_inherited = kept is not None and kept.floor == host.machine.sensed
        seen.opened_by = None if host.node is None or is_inherited else host.node.me
        seen.served = None
        # What a slow server obeys late may have had its reason when it was told.
        if host.node is None or is_inherited or now_ms - seen.steady_ms < STEADY_MS or host.ordered_ms != now_ms:
            return
        calls, floor = set(host.node.calls.live.values()), host.machine.sensed
        here = sorted(call for call in calls if call.floor == floor and call.car in (EVERY_CAR, host.id))
        if not here:
            self.oracle.fail(f"car {host.id} opens its door for nothing")
        is_for_cab = any(call.button is Button.CAB for call in here)
        others = self.health.neighbours(host) if self.health.is_steady(host, seen) and not is_for_cab else []
        if all(any(self.stands_open(other, call) for other in others) for call in here):
            self.oracle.fail(f"car {host.id} opens its door for {here}, and that of another is open for them")

    def stands_open(self, host: Host, call: Call) -> bool:
        """Tell whether the car of *host* has stood open since before a new *call* was made there, and is to take it."""
        seen, machine = self.health.of(host), host.machine
        stands = machine.door and machine.sensed == call.floor and not machine.obstructed
        if not stands or seen.opened_ms is None or seen.served is None or not self.health.is_steady(host, seen):
            return False
        now_ms = self.clock()
        made_ms = min(
            [self.oracle.born[dot] for dot, open in self.oracle.open.items() if open == call], default=-NEVER_MS
        )
        is_fresh = now_ms - seen.opened_ms < HAMMERED_MS and now_ms - made_ms < NEW_MS
        stood = max(seen.opened_ms, seen.obstructed_ms) <= made_ms - EARLIER_MS
        return is_fresh and stood and seen.served[0] is call.button

    def judge_shutting(self, host: Host, seen: Seen) -> None:
        now_ms = seen.shut_ms = self.clock()
        if not self.opened_itself(host, seen):
            return
        if seen.served and now_ms - seen.served[1] < DOOR_MS:
            self.oracle.fail(f"the door of car {host.id} shut {now_ms - seen.served[1]} ms after it served a hall call")
        if now_ms - seen.cleared_ms < DOOR_MS:
            self.oracle.fail(f"the door of car {host.id} shut {now_ms - seen.cleared_ms} ms after an obstruction")

    def judge_departure(self, host: Host, seen: Seen, direction: Direction) -> None:
        heading, opened_ms, served = seen.heading, seen.opened_ms, seen.served
        by_itself = self.opened_itself(host, seen)
        if opened_ms is not None and seen.shut_ms != self.clock():  # The same.
            heading, opened_ms, served = None, None, None
        seen.heading, seen.opened_ms, seen.served = direction, None, None
        floor, now_ms, node = host.machine.sensed, self.clock(), host.node
        if now_ms - seen.listens_ms < LISTEN_MS:
            self.oracle.fail(f"car {host.id} sets out before its program has listened")
        is_first = heading is None and seen.steady_ms == seen.listens_ms > seen.stop_ms
        seen.searches_ms = None
        if is_first and floor is None and node is not None and node.drive.position.floor is None:
            seen.searches_ms = now_ms if seen.steady_ms == seen.started_ms else None
            if direction is Direction.UP:
                self.oracle.fail(f"car {host.id} looks for a floor above first")
        if floor is None or node is None or not self.health.is_steady(host, seen):
            return
        if host.inputs is None or host.inputs.floor != floor:  # It has just come there and does not know yet.
            return
        decided_ms = now_ms if opened_ms is None else opened_ms  # An opening car may announce another direction,
        if opened_ms is not None and by_itself and served is not None:  # and is then bound to it.
            heading, decided_ms = (Direction.UP if served[0] is Button.UP else Direction.DOWN), now_ms
        could_serve = opened_ms is not None and by_itself and now_ms - opened_ms < HAMMERED_MS
        left = Call(direction.button, floor, EVERY_CAR)
        rivals = self.oracle.has_rivals(node)  # Whose cab calls are not this car's.
        for dot, call in node.calls.live.items():
            born_ms = self.oracle.born[dot]
            behind = heading is not None and direction is not heading and (call.floor - floor) * heading > 0
            behind = behind and (opened_ms is None or seen.again_ms < opened_ms)
            mine = call.car == host.id and not (rivals and dot.author not in self.oracle.own_runs[host.id])
            if mine and behind and max(born_ms, seen.found_ms) <= decided_ms - EARLIER_MS:
                self.oracle.fail(f"car {host.id} turned away from {call}")
            known = born_ms <= now_ms - EARLIER_MS and (dot.author == node.me or self.health.is_settled(born_ms))
            if call == left and could_serve and known:
                self.oracle.fail(f"car {host.id} left {call} behind with its door just shut")

    def judge_presses(self, host: Host, seen: Seen, before: Node, node: Node) -> None:
        """Judge whether *node* has noted what has just been found down, or served it on the spot."""
        now_ms = self.clock()
        fresh = {
            call for dot, call in node.calls.live.items() if dot.author == node.me and self.oracle.born[dot] == now_ms
        }
        counted = node.calls.seen.get(node.me, 0) > before.calls.seen.get(node.me, 0)
        for call in sorted(seen.pressed - fresh):
            if not (counted and host.machine.door and host.machine.sensed == call.floor):
                self.oracle.fail(f"node {host.id} missed a press of {call}")

    def judge_swept(self, host: Host) -> None:
        """Judge the turn that a program has just taken after a sweep."""
        if self.health.is_stranger(host):
            return
        seen, node = self.health.of(host), host.node
        assert seen.before is not None
        (before, machine), seen.before = seen.before, None
        if node is None:
            return
        self.judge_presses(host, seen, before, node)
        self.judge_spot(host, seen, before, node, machine)
        floor, motor = machine.sensed, machine.shaft.motor
        told = None if host.inputs is None else host.inputs.floor
        comes = before.inputs is not None and before.inputs.floor is None and told is not None and told == floor
        if not comes or floor is None or not motor or not host.machine.shaft.motor:
            return
        if self.health.is_steady(host, seen) and before.drive.fault is Fault.NONE:
            going = Call(Direction(motor).button, floor, EVERY_CAR)
            if claims(before, going) and claims(node, going):  # It may be given one only as it leaves.
                self.oracle.fail(f"car {host.id} passes a hall call at floor {floor} that it claims")
            # It leaves them to another with its id; it may take a late datagram of its last run for one.
            is_its_own = Call(Button.CAB, floor, host.id) in node.calls.live.values()
            if is_its_own and not self.oracle.has_rivals(node):
                self.oracle.fail(f"car {host.id} passes its cab call to floor {floor}")

    def judge_spot(self, host: Host, seen: Seen, before: Node, node: Node, machine: Machine) -> None:
        """Judge whether a car that stands with its door open, and has nothing else to do, serves who presses there."""
        floor = machine.sensed
        fresh = seen.opened_ms is not None and self.clock() - seen.opened_ms < HAMMERED_MS
        if floor is None or not machine.door or not fresh or machine.obstructed:
            return
        work = before.assignment.hall.cab | before.share.up | before.share.down
        now = node.assignment.hall.cab | node.share.up | node.share.down
        work |= now & ~(1 << floor)  # It may have come in the same turn.
        if work or seen.served is not None or seen.again_ms >= (seen.opened_ms or 0):
            return
        here = [
            call
            for call in seen.pressed
            if call.floor == floor
            and call.button is not Button.CAB
            and not any(self.is_before(other, host, call) for other in self.hosts)
        ]
        is_left = here and {*node.calls.live.values()}.issuperset(here)
        if is_left and self.opened_itself(host, seen) and self.health.is_steady(host, seen):
            self.oracle.fail(f"car {host.id} stands open and idle, and serves none of {here}")

    def is_before(self, other: Host, host: Host, call: Call) -> bool:
        """Tell whether a call where *host* stands is *other*'s: that is on its way, or stands there and comes first."""
        if other.node is None or other is host:
            return False
        stands = other.machine.door and other.machine.sensed == call.floor and other.id < host.id
        return stands or claims(other.node, call)

    def look(self, host: Host) -> None:
        """Judge what takes no event to go wrong, at a panel that shows what its program wants."""
        seen, machine, now_ms = self.health.of(host), host.machine, self.clock()
        if now_ms - max(seen.steady_ms, seen.stop_ms) >= STOPPED_MS:
            if machine.stop_lamp != machine.stop:
                self.oracle.fail(f"the stop lamp of car {host.id} is {'lit' if machine.stop_lamp else 'dark'}")
            if machine.stop and machine.shaft.motor:
                self.oracle.fail(f"car {host.id} runs while its stop button is down")
        if (
            host.has(FaultKind.SENSOR)
            and now_ms - seen.steady_ms > SHOWN_MS
            and machine.shaft.motor
            and not host.orders
        ):
            self.oracle.fail(f"car {host.id} runs on with a dead sensor")
        if seen.searches_ms is not None and now_ms - seen.searches_ms > SEARCH_MS:
            self.oracle.fail(f"car {host.id} looks for a floor below for ever")
        if not self.health.is_steady(host, seen):
            return
        shown = machine.indicator == machine.sensed or machine.sensed is None
        if not shown and now_ms - seen.sensed_ms >= SHOWN_MS:
            self.oracle.fail(f"the indicator of car {host.id} shows {machine.indicator} at floor {machine.sensed}")
        assert host.node is not None
        fault, usual = host.node.drive.fault, self.health.travel_ms <= USUAL_TRAVEL_MS and not machine.obstructed
        for_long = now_ms - max(seen.steady_ms, seen.obstructed_ms) >= ABLE_MS
        if fault not in (Fault.NONE, Fault.POSITION) and usual and for_long and not seen.was_slow:
            self.oracle.fail(f"car {host.id} is in order and takes itself for unable: {fault}")
        if not machine.door or seen.opened_ms is None or machine.obstructed:
            return
        since_ms = max(seen.opened_ms, seen.acted_ms, seen.obstructed_ms, seen.steady_ms, seen.listens_ms + LISTENED_MS)
        if now_ms - since_ms > DOOR_MS + SHOWN_MS:
            self.oracle.fail(f"the door of car {host.id} stays open for nothing")
        long_ago_ms = now_ms - KEPT_OPEN_MS
        if max(seen.opened_ms, seen.obstructed_ms, seen.steady_ms) < long_ago_ms:
            for dot, call in self.oracle.open.items():
                if call.car == host.id and call.floor != machine.sensed and self.oracle.born[dot] < long_ago_ms:
                    self.oracle.fail(f"car {host.id} is kept from {call} by an open door")


def claims(node: Node, call: Call) -> bool:
    """Tell whether *node* means to serve a hall call."""
    return bool((node.share.up if call.button is Button.UP else node.share.down) >> call.floor & 1)
