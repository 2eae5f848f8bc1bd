"""The step function: it computes the next state of a node from its current state and a tick.

1. A step first applies the inputs: it merges the calls of peers, registers presses and locates the car. Then it assigns
   the hall calls (assignment.py) and chooses the next action of the car (act.py).
2. A step may itself change inputs of the assignment. If it serves a call, or changes the published state of the car,
   the claims, or the published long waits, another step follows immediately. After RESTEPS_MAX such steps in a row, the
   next one waits for RESTEP_MS or for new input. Otherwise an assignment that alternates between two results would keep
   the node busy forever. While the node waits, its car keeps the calls of both results.
3. A lamp lights when the guarantee of its call holds (replica.py). The guarantee depends only on the state, so the
   order of I/O in turn.py does not affect it.
4. After a start or a stall, a node *listens* for LISTEN_MS. It registers, merges and acknowledges calls, but keeps its
   motor stopped and changes no button lamp. An earlier incarnation may have lit the lamp of an unserved call. So even
   after listening, the lamp of such a call stays as it is until the node lights it or the call is served.
"""

from collections.abc import Iterable, Mapping

from elevator import __version__
from elevator.core import act, assignment, drive, outgoing, peers, replica, traffic
from elevator.core.act import Tasks
from elevator.core.assignment import Assignment, Member
from elevator.core.call_set import acknowledges, calls_of, forget, has_live, merge, press, serve
from elevator.core.drive import Drive
from elevator.core.evolve import evolve
from elevator.core.messages import Heartbeat, Tick
from elevator.core.model import NEVER_MS, Button, Buttons, Call, Direction, Dot, Fault, Inputs, buttons_of
from elevator.core.node import (
    LISTEN_MS,
    Node,
    in_reach,
    is_listening,
    shown,
)
from elevator.core.peers import HEARTBEAT_MS
from elevator.core.traffic import Traffic
from elevator.core.travel_times import VAGUE_MS

DELAYED_MS, STALL_MS = HEARTBEAT_MS + VAGUE_MS, 500
"""A running node steps at least every HEARTBEAT_MS, to send, and is often a few ms late. After a gap of at least
DELAYED_MS, the step is *delayed*, which matters only for travel times. A gap of at least STALL_MS is a *stall*: the car
may be anywhere, so the node listens first."""
RESTEPS_MAX = 4
RESTEP_MS = 500
"""How long the next step waits for new input, once RESTEPS_MAX steps in a row have asked for an immediate one."""


def step(node: Node, tick: Tick) -> Node:
    """Return the next state of *node* after *tick*."""
    before, node = node, start_step(node, tick)
    heard, news = peers.note_unchanged(node.peers, tick.heartbeats, node.now_ms)
    node = evolve(node, peers=heard)
    for heartbeat in news:
        node = receive(node, heartbeat)
    node = prune(register_presses(match_digests(node), tick.inputs))
    if must_decide(before, node):
        node = decide(node, tick.asked_at_ms)
    node = update_lamps(node)
    hears = sum(1 << id for id in peers.alive(node.peers, node.now_ms))
    calls = replica.published(node.replica)
    message = Heartbeat(
        node.me,
        0,
        node.floors,
        node.drive.public,
        node.claims,
        hears,
        calls,
        calls.digest,
        node.traffic.rates,
        node.assignment.waited,
        __version__,
    )
    composed = outgoing.compose(node.outgoing, message, node.now_ms)
    return node if composed is node.outgoing else evolve(node, outgoing=composed)


def must_decide(before: Node, node: Node) -> bool:
    """Return whether an input of the assignment or of the car has changed, or a decision is due.

    Most steps need no decision, because the heartbeats only bring acknowledgements.
    """
    old, new = before.peers, node.peers
    is_same = (
        node.calls is before.calls
        and node.inputs is before.inputs
        and node.drive is before.drive
        and new.other is old.other
        and node.predecessor == before.predecessor
    )
    if not is_same or node.now_ms >= before.quiet_until_ms:
        return True
    return peers.have_changed(old, before.now_ms, new, node.now_ms, node.me.id)


def decide(node: Node, asked_at_ms: int | None) -> Node:
    """Locate the car, assign the hall calls, and carry out the next action of the car."""
    now_ms, old = node.now_ms, node.assignment
    sensed = drive.sense(node.drive, now_ms, node.inputs, node.floors, is_listening(node), asked_at_ms)
    visible, me = shown(node), node.me.id
    every = visible.panel(me)
    is_unstable = node.resteps == RESTEPS_MAX - 1
    if now_ms < old.next_at_ms:
        assigned = assignment.keep(old, visible.hall)
    else:
        members = members_of(node, sensed.car, every.cab)
        assigned = assignment.assign(old, now_ms, node.policy, me, node.floors, visible.hall, members, is_unstable)
    work = Buttons(assigned.claims.up, assigned.claims.down, every.cab)
    acted = act.act(sensed.car, now_ms, Tasks(me, work, every, assigned.target))
    calls, counted = node.calls, node.traffic
    if acted.served:
        assigned = evolve(assigned, claims=assigned.claims - buttons_of(acted.served))
        hidden = () if visible is calls else calls.live.keys() - visible.live.keys()
        calls, counted = serve(calls, acted.served, hidden), count_passengers(node, assigned, acted.served)
    has_news = (
        acted.car.public != sensed.car.public
        or (assigned.claims, assigned.waited) != (old.claims, old.waited)
        or bool(acted.served)
    )
    resteps, restep_at_ms = (node.resteps + 1, now_ms) if has_news else (0, NEVER_MS)
    if is_unstable:
        resteps, restep_at_ms = 0, now_ms + RESTEP_MS
    other = peers.recent_other(node.peers, now_ms)
    forget_at_ms = NEVER_MS if other is None else other.forget_at_ms
    listened_at_ms = node.listen_until_ms if is_listening(node) else NEVER_MS
    due_at_ms = min(sensed.due_at_ms, acted.due_at_ms, assigned.due_at_ms, forget_at_ms, listened_at_ms)
    return evolve(
        node,
        drive=acted.car,
        assignment=assigned,
        traffic=counted,
        replica=node.replica if calls is node.calls else evolve(node.replica, calls=calls),
        resteps=resteps,
        quiet_until_ms=min(due_at_ms, restep_at_ms),
    )


def members_of(node: Node, car: Drive, cab: int) -> Mapping[int, Member]:
    """Return the cars in service that this node can assign hall calls to: its own and those of its peers in reach.

    The keys are car ids. While the node listens, its own car is not included. *car* is the node's own car, and *cab* is
    the bit mask of the floors of its cab calls.
    """
    cabs, members = node.calls.cabs, {}
    for id, peer in peers.in_service(in_reach(node)).items():
        last = peer.heartbeat
        members[id] = Member(last.car, cabs.get(id, 0), last.claims, last.waited, peer.rates)
    if car.fault is Fault.NONE and not is_listening(node):
        members[node.me.id] = Member(car.public, cab, node.claims, node.assignment.waited, node.traffic.rates)
    return members


def step_idle(node: Node, tick: Tick) -> Node | None:
    """Return the result of `step` for a tick that at most extends timeouts of peers; None for any other tick.

    Nearly every tick is of this kind, so this function is a fast path.
    """
    now_ms = tick.now_ms
    expected = tick.inputs is node.inputs and tick.recorded is None and tick.found is None and not tick.disk_failed
    due_at_ms = min(node.quiet_until_ms, peers.next_timeout_at_ms(node.peers, node.now_ms))
    if not expected or now_ms >= due_at_ms or now_ms - node.now_ms >= DELAYED_MS:
        return None
    heard, news = peers.note_unchanged(node.peers, tick.heartbeats, now_ms)
    return None if news else evolve(node, now_ms=now_ms, peers=heard)


def start_step(node: Node, tick: Tick) -> Node:
    """Set the time, handle a delay or a stall, and apply what the disk has reported."""
    now_ms = tick.now_ms
    gap_ms = now_ms - node.now_ms
    if gap_ms >= STALL_MS:
        stalled, extended = drive.stall(node.drive, now_ms), peers.extend_timeouts(node.peers, gap_ms)
        node = evolve(node, peers=extended, drive=stalled, listen_until_ms=now_ms + LISTEN_MS)
    elif gap_ms >= DELAYED_MS:
        node = evolve(node, drive=drive.delay(node.drive, now_ms))
    ours = node.replica
    if tick.recorded is not None or tick.disk_failed:
        recorded = ours.recorded if tick.recorded is None else tick.recorded
        ours = evolve(ours, recorded=recorded, disk_failed=tick.disk_failed)
    if tick.found is not None:
        node = evolve(node, predecessor=tick.found.incarnation)
        ours = evolve(ours, calls=merge(ours.calls, tick.found.calls))
    return evolve(node, now_ms=now_ms, replica=ours)


def skip_stale(node: Node, tick: Tick, now_ms: int) -> Node:
    """Prepare *node* to repeat, at *now_ms*, a step whose *tick* has become stale.

    The node keeps the presses in the tick. It has not read the heartbeats that have arrived since the tick, so it
    extends the timeouts of its peers. After a stall, the repeated step extends them instead.
    """
    node = register_presses(node, tick.inputs)
    if now_ms >= node.now_ms + STALL_MS:
        return node
    return evolve(node, peers=peers.extend_timeouts(node.peers, now_ms - tick.now_ms))


def receive(node: Node, heartbeat: Heartbeat) -> Node:
    """Update the peer that sent *heartbeat*, and merge the calls in the heartbeat.

    Ignore this node's own heartbeats, forged ones, those of nodes with a different number of floors, and repeated or
    late ones of a peer's known incarnation. Warn of forged heartbeats, different numbers of floors and duplicate ids.
    """
    sender = heartbeat.sender
    if sender == node.me:
        return node
    if heartbeat.floors != node.floors:
        return warn(node, f"ignoring node {sender.id}: it has {heartbeat.floors} floors, this node has {node.floors}")
    own = heartbeat.calls.entries.get(node.me)
    if own is not None and not acknowledges(node.calls, Dot(node.me, own.newest)):
        # Only this node has this incarnation, and it has registered fewer presses. So the heartbeat is forged.
        return warn(
            node,
            f"ignored a heartbeat forged in the name of node {sender.id}: "
            "it acknowledges presses that this node has not registered",
        )
    if sender.id == node.me.id:
        node = receive_other(node, heartbeat)
    else:
        old = node.peers.known.get(sender.id)
        peer = peers.receive(old, heartbeat, node.now_ms)
        if peer is not None:
            node = evolve(node, peers=evolve(node.peers, known={**node.peers.known, sender.id: peer}))
        elif old is None or old.heartbeat.sender == sender:
            return node
        elif peers.is_duplicate(old, heartbeat, node.now_ms):
            node = warn(node, f"two nodes have the same id, {sender.id}: give each node its own --id")
    merged = merge(node.calls, heartbeat.calls)
    return node if merged is node.calls else evolve(node, replica=evolve(node.replica, calls=merged))


def receive_other(node: Node, heartbeat: Heartbeat) -> Node:
    """Process a heartbeat from another incarnation with this node's id; warn if it belongs to a duplicate."""
    other = peers.receive_other(peers.recent_other(node.peers, node.now_ms), heartbeat, node.now_ms)
    if other.is_certain:
        node = warn(node, f"another node has the same id, {node.me.id}: give each node its own --id")
    return node if other is node.peers.other else evolve(node, peers=evolve(node.peers, other=other))


def match_digests(node: Node) -> Node:
    """Find the peers whose digest equals one of this node's two digests: of all its calls, or of its published calls.

    Equal digests mean equal call sets, so store this node's set as the set of the peer (`Peer.calls`). Note the time
    (`Peer.agreed_at_ms`) unless the set was already stored.
    """
    equal = {calls.digest: calls.current for calls in (node.calls, replica.published(node.replica))}
    matched = {}
    for id, peer in node.peers.known.items():
        calls = equal.get(peer.heartbeat.digest, peer.calls)
        if calls is not peer.calls:
            matched[id] = evolve(peer, calls=calls, agreed_at_ms=node.now_ms)
    return evolve(node, peers=evolve(node.peers, known={**node.peers.known, **matched})) if matched else node


def prune(node: Node) -> Node:
    """Forget the expired incarnations of each node, once no peer in reach can have a live press by them.

    A peer has none while its digest equals the node's own. The node keeps its own incarnation, those of live peers, and
    those that still have a live press in its published calls. A duplicate is not a peer, so the node may forget an
    incarnation of a duplicate too early. Then a call that the duplicate still holds may be served again.
    """
    expired, published = node.calls.expired, replica.published(node.replica)
    if not expired or any(peer.heartbeat.digest != published.digest for peer in in_reach(node).values()):
        return node
    needed = {node.me} | {peer.heartbeat.sender for peer in peers.alive(node.peers, node.now_ms).values()}
    needed |= {author for author in expired if has_live(published, author)}
    return evolve(node, replica=evolve(node.replica, calls=forget(node.calls, expired - needed)))


def register_presses(node: Node, inputs: Inputs | None) -> Node:
    """Register a press of each button that is down in *inputs* and was up in the last snapshot.

    In the first snapshot after a start or after the panel was lost, each button that is down counts as pressed.
    """
    if inputs is node.inputs:
        return node
    before = node.inputs.pressed if node.inputs is not None else Buttons()
    if inputs is not None and inputs.pressed != before:
        node = press_all(node, inputs.pressed - before)
    return evolve(node, inputs=inputs)


def press_all(node: Node, pressed: Buttons) -> Node:
    calls = node.calls
    for call in sorted(calls_of(pressed, node.me.id)):
        calls = press(calls, node.me, call)
    return node if calls is node.calls else evolve(node, replica=evolve(node.replica, calls=calls))


def count_passengers(node: Node, assigned: Assignment, served: Iterable[Call]) -> Traffic:
    """Return the traffic statistics, updated with the estimated passengers of the hall calls among *served*."""
    known = node.traffic
    for button, floor, car in sorted(served):
        if button is Button.CAB:
            continue
        way = Direction.UP if button is Button.UP else Direction.DOWN
        others = (peer.rates for peer in in_reach(node).values())
        total = assignment.total((known.rates, *others), node.floors)
        rate = (total.up if way is Direction.UP else total.down)[floor]
        wait = assigned.waits.get(Call(button, floor, car))
        age_ms = 0 if wait is None else node.now_ms - wait.since_ms
        known = traffic.count_passengers(known, node.floors, floor, way, age_ms, rate, node.now_ms)
    return known


def update_lamps(node: Node) -> Node:
    """Turn off the lamps of calls that are served or hidden (`shown`), and light those of calls whose guarantee holds.

    A listening node lights none.
    """
    visible, me = shown(node), node.me.id
    panel = visible.panel(me)
    ours = replica.darken(node.replica, panel)
    if not is_listening(node) and panel - replica.buttons(ours.lit):
        ours = replica.light(ours, visible, me, [peer.calls for peer in in_reach(node).values()])
    return node if ours is node.replica else evolve(node, replica=ours)


def sent(node: Node, heartbeat: Heartbeat) -> Node:
    """Record that *heartbeat* was sent, and schedule the next one."""
    return evolve(node, outgoing=outgoing.sent(node.outgoing, heartbeat, node.now_ms))


def warn(node: Node, text: str) -> Node:
    """Count one more occurrence of the warning *text*. The main loop logs it."""
    return evolve(node, warnings={**node.warnings, text: node.warnings.get(text, 0) + 1})
