"""What `elevator watch` knows about a group, and how it shows the group: as JSON, in the terminal, on a page. Pure."""

import math
from collections.abc import Mapping

from attrs import evolve, frozen
from rich.text import Text

from elevator.cli.wording import counted
from elevator.core import peers
from elevator.core.call_set import merge
from elevator.core.messages import Heartbeat
from elevator.core.model import Behaviour, Calls, Direction, Fault, bits
from elevator.core.peers import Peer

RATE_MS = 2000
"""The rate of a node's heartbeats is measured over the last RATE_MS."""
DUPLICATE_MS = 5000
"""A duplicate id is shown for this long after the last heartbeat that revealed it."""
FORGET_MS = 600_000
"""A node that has been silent for this long is no longer shown."""
HEAD_LINES = 3


@frozen
class NodeStatus:
    peer: Peer
    address: str
    received_at_ms: int
    recent_ms: tuple[int, ...]
    """Arrival times of the node's newest heartbeat and of those in the RATE_MS before it."""
    duplicate_at_ms: int | None = None
    """When a heartbeat last revealed that two nodes have this id; None if never."""


@frozen
class Group:
    nodes: Mapping[int, NodeStatus] = {}
    """The status of each node, by id."""
    refused: Mapping[str, int] = {}
    """How many datagrams were dropped so far, for each reason (`Admission.refused`)."""
    calls: Calls = Calls()
    """The calls in all heartbeats so far, merged. If a heartbeat has the digest of these calls, its node has exactly
    these calls."""


def receive(group: Group, heartbeat: Heartbeat, address: str, now_ms: int) -> Group:
    id = heartbeat.sender.id
    old = group.nodes.get(id)
    peer = peers.receive(None if old is None else old.peer, heartbeat, now_ms)
    if peer is None:
        assert old is not None
        if not peers.is_duplicate(old.peer, heartbeat, now_ms):
            return group
        return evolve(group, nodes={**group.nodes, id: evolve(old, duplicate_at_ms=now_ms)})
    calls = merge(group.calls, heartbeat.calls)
    if heartbeat.digest == calls.digest:
        peer = evolve(peer, calls=calls)
    recent_ms = () if old is None else tuple(at_ms for at_ms in old.recent_ms if at_ms > now_ms - RATE_MS)
    recent_ms += (now_ms,)
    duplicate_at_ms = None if old is None else old.duplicate_at_ms
    node = NodeStatus(peer, address, now_ms, recent_ms, duplicate_at_ms)
    return evolve(group, nodes={**group.nodes, id: node}, calls=calls)


def forget(group: Group, now_ms: int) -> Group:
    """Return *group* without the nodes that have been silent for FORGET_MS."""
    kept = {id: node for id, node in group.nodes.items() if now_ms < node.received_at_ms + FORGET_MS}
    return group if len(kept) == len(group.nodes) else evolve(group, nodes=kept)


def rows(group: Group, now_ms: int) -> list[dict[str, object]]:
    """Return the state of each node as JSON values, ordered by id."""
    return [row(group.nodes[id], now_ms) for id in sorted(group.nodes)]


def row(node: NodeStatus, now_ms: int) -> dict[str, object]:
    """Return the state of one node as JSON values. Packet loss is a fraction, 0..1."""
    heartbeat = node.peer.heartbeat
    car = heartbeat.car
    hall, cabs = node.peer.calls.hall, node.peer.calls.cabs
    return {
        "id": heartbeat.sender.id,
        "address": node.address,
        "incarnation": heartbeat.sender.incarnation,
        "version": node.peer.version,
        "alive": now_ms < node.peer.timeout_at_ms,
        "age_ms": now_ms - node.received_at_ms,
        "per_second": round(sum(at_ms > now_ms - RATE_MS for at_ms in node.recent_ms) * 1000 / RATE_MS, 1),
        "loss": round(node.peer.loss, 3),
        "floors": heartbeat.floors,
        "floor": car.floor,
        "direction": car.direction.name.lower(),
        "behaviour": car.behaviour.name.lower(),
        "door": car.behaviour is Behaviour.DOOR_OPEN,
        "fault": str(car.fault),
        "takes": {"up": bits(heartbeat.claims.up), "down": bits(heartbeat.claims.down)},
        "hall": {"up": bits(hall.up), "down": bits(hall.down)},
        "cab": bits(cabs.get(heartbeat.sender.id, 0)),
        "hears": bits(heartbeat.hears),
        "twice": node.duplicate_at_ms is not None and now_ms < node.duplicate_at_ms + DUPLICATE_MS,
    }


def draw(group: Group, name: str, now_ms: int, width: int, height: int) -> Text:
    """Draw a heading and a line for each node, in as many columns as necessary.

    Leave the last row and column of a terminal of *width* by *height* characters free, and crop what does not fit.
    """
    nodes = [group.nodes[id] for id in sorted(group.nodes)]
    alive = sum(now_ms < node.peer.timeout_at_ms for node in nodes)
    head = Text(f"group {name}: {alive} of {counted(len(nodes), 'node')} alive", "bold")
    for reason, count in group.refused.items():
        head.append(f", {counted(count, 'datagram')} dropped: {reason}", "yellow")
    if len({node.peer.heartbeat.floors for node in nodes}) > 1:
        head.append(", nodes have different numbers of floors", "bold red")
    if len({node.peer.version for node in nodes if node.peer.version}) > 1:
        head.append(", nodes run different versions", "bold yellow")
    head.append("    Ctrl-C quits", "dim")
    room = max(1, height - HEAD_LINES)
    columns = max(1, math.ceil(len(nodes) / room))
    cell = max(8, (width - 1) // columns)
    lines = [head, Text()]
    for number in range(min(room, math.ceil(len(nodes) / columns) or 1)):
        line = Text()
        for node in nodes[number :: math.ceil(len(nodes) / columns) or 1]:
            text = describe(node, now_ms)
            text.truncate(cell - 2, pad=True)
            line.append_text(text).append("  ")
        lines.append(line)
    if not nodes:
        lines.append(Text("waiting for heartbeats", "dim"))
    for line in lines:
        line.truncate(max(1, width - 1))
    return Text("\n", end="", no_wrap=True, overflow="crop").join(lines[: max(1, height - 1)])


def describe(node: NodeStatus, now_ms: int) -> Text:
    """Return a node's line. The most important facts come first, because the end may be cropped."""
    facts, heartbeat = row(node, now_ms), node.peer.heartbeat
    car = heartbeat.car
    text = Text(f"{heartbeat.sender.id:>2} ", "bold")
    if not facts["alive"]:
        ago_s = (now_ms - node.received_at_ms) / 1000
        text.append("○ ", "bold red").append(f"timed out, last heard {ago_s:.0f} s ago", "red")
        return text.append(f"  {node.address}", "dim")
    arrow = "▲" if car.direction is Direction.UP else "▼"
    text.append("● ", "green").append(f"{car.floor:>2}")
    text.append(" " if car.behaviour is Behaviour.IDLE else arrow, "cyan")
    if facts["twice"]:
        text.append(f" {'duplicate id':<19}", "bold red")
    elif car.fault is not Fault.NONE:
        text.append(f" {car.fault:<19}", "red")
    else:
        names = {Behaviour.IDLE: "at rest", Behaviour.MOVING: "moving", Behaviour.DOOR_OPEN: "door open"}
        text.append(f" {names[car.behaviour]:<19}", "yellow" if car.behaviour is Behaviour.DOOR_OPEN else "")
    cabs = node.peer.calls.cabs
    for sign, floors, style in (
        ("▲", heartbeat.claims.up, "green"),
        ("▼", heartbeat.claims.down, "magenta"),
        ("■", cabs.get(heartbeat.sender.id, 0), "cyan"),
    ):
        text.append(f" {sign + ','.join(map(str, bits(floors))) if floors else '':<8}", style)
    text.append(f" {facts['per_second']:>5}/s {100 * node.peer.loss:>3.0f} % lost {facts['age_ms']:>4} ms", "dim")
    return text.append(f"  {node.address}  {heartbeat.floors} floors  {node.peer.version}", "dim")


def scene(group: Group, now_ms: int) -> dict[str, object]:
    """Return the group as a scene for the web page.

    Values that are not in the heartbeats are constants or estimates. For example, the lamp of every published call
    counts as lit.
    """
    nodes = [group.nodes[id] for id in sorted(group.nodes)]
    floors = max([node.peer.heartbeat.floors for node in nodes], default=2)
    names = [node.peer.heartbeat.sender.id for node in nodes]
    building = {"floors": floors, "cars": len(nodes), "driver": "node", "watched": True, "profiles": [], "names": names}
    shown: dict[str, object] = {"building": building}
    for number, node in enumerate(nodes):
        facts, heartbeat = row(node, now_ms), node.peer.heartbeat
        car, version = heartbeat.car, node.peer.version
        moving = car.behaviour is Behaviour.MOVING
        hall = node.peer.calls.hall
        shown[f"car{number}"] = {
            "height": car.floor + (car.direction * 0.5 if moving else 0),
            "since_ms": 0,
            "speed": 0,
            "motor": int(car.direction) if moving else 0,
            "power": True,
            "out": False,
            "door": facts["door"],
            "lamps": {"up": bits(hall.up), "down": bits(hall.down), "cab": facts["cab"]},
            "pressed": {"up": [], "down": [], "cab": []},
            "indicator": car.floor,
            "stop": car.fault is Fault.STOP,
            "obstructed": car.obstructed,
        }
        shown[f"node{number}"] = {
            "note": f"{facts['per_second']:.0f}/s, {100 * node.peer.loss:.0f} % lost, {node.address}, {version}",
            "state": "running",
            "plugged": True,
            "heard": facts["alive"],
            "direction": int(car.direction),
            "behaviour": facts["behaviour"],
            "fault": facts["fault"],
            "up": bits(heartbeat.claims.up),
            "down": bits(heartbeat.claims.down),
        }
    return shown
