"""What `elevator watch` knows and shows of a group."""

import math
from collections.abc import Mapping

from attrs import evolve, frozen
from rich.text import Text

from elevator.core import peers
from elevator.core.call_set import demand
from elevator.core.model import Behaviour, Direction, Fault, Heartbeat
from elevator.core.peers import Peer

RATE_MS = 2000
"""Heartbeats are counted over so long."""
RIVAL_MS = 5000
"""For how long it is told that two nodes had one id."""
FORGET_MS = 600_000
"""A node that has been silent for so long is not shown any more."""
HEAD_LINES = 3


@frozen
class HeardNode:
    """One node, as far as it was heard."""

    peer: Peer
    address: str
    at_ms: int
    """When it last spoke."""
    beats: tuple[int, ...]
    """When it spoke within the last RATE_MS."""
    rival_at_ms: int | None = None
    """When another node with this id last spoke."""


@frozen
class Group:
    """All nodes that were heard, by id, and how many datagrams came that were not taken, by what they are."""

    nodes: Mapping[int, HeardNode] = {}
    refused: Mapping[str, int] = {}


def hear(group: Group, heartbeat: Heartbeat, address: str, now_ms: int) -> Group:
    """Take in what a node says."""
    id = heartbeat.sender.id
    old = group.nodes.get(id)
    peer = peers.hear(None if old is None else old.peer, heartbeat, now_ms)
    if peer is None:
        assert old is not None
        if old.peer.said.sender == heartbeat.sender:
            return group  # Heard already, by another way.
        return evolve(group, nodes={**group.nodes, id: evolve(old, rival_at_ms=now_ms)})
    beats = () if old is None else tuple(at_ms for at_ms in old.beats if at_ms > now_ms - RATE_MS)
    if old is None or heartbeat.counter != old.peer.said.counter:
        beats += (now_ms,)
    rival_at_ms = None if old is None else old.rival_at_ms
    return evolve(group, nodes={**group.nodes, id: HeardNode(peer, address, now_ms, beats, rival_at_ms)})


def forget(group: Group, now_ms: int) -> Group:
    """Drop nodes that have been silent for long."""
    kept = {id: seen for id, seen in group.nodes.items() if now_ms < seen.at_ms + FORGET_MS}
    return group if len(kept) == len(group.nodes) else evolve(group, nodes=kept)


def rows(group: Group, now_ms: int) -> list[dict[str, object]]:
    """Return all that is known of each node, as JSON values, by id."""
    return [row(group.nodes[id], now_ms) for id in sorted(group.nodes)]


def row(seen: HeardNode, now_ms: int) -> dict[str, object]:
    """Return all that is known of one node; times in milliseconds, loss from 0 to 1."""
    said, car = seen.peer.said, seen.peer.said.car
    hall, cabs = demand(seen.peer.calls.live.values())
    return {
        "id": said.sender.id,
        "address": seen.address,
        "incarnation": said.sender.incarnation,
        "version": said.version,
        "alive": now_ms < seen.peer.silent_at_ms,
        "age_ms": now_ms - seen.at_ms,
        "per_second": round(sum(at_ms > now_ms - RATE_MS for at_ms in seen.beats) * 1000 / RATE_MS, 1),
        "loss": round(seen.peer.loss, 3),
        "floors": said.floors,
        "floor": car.floor,
        "direction": car.direction.name.lower(),
        "behaviour": car.behaviour.name.lower(),
        "door": car.behaviour is Behaviour.DOOR_OPEN,
        "fault": str(car.fault),
        "takes": {"up": floors_of(said.claims.up), "down": floors_of(said.claims.down)},
        "hall": {"up": floors_of(hall.up), "down": floors_of(hall.down)},
        "cab": floors_of(cabs.get(said.sender.id, 0)),
        "hears": floors_of(said.hears),
        "twice": seen.rival_at_ms is not None and now_ms < seen.rival_at_ms + RIVAL_MS,
    }


def floors_of(bits: int) -> list[int]:
    """Return the numbers of the bits in a mask."""
    return [bit for bit in range(bits.bit_length()) if bits >> bit & 1]


def draw(group: Group, name: str, now_ms: int, width: int, height: int) -> Text:
    """Return the picture: a line a node, in as many columns as it takes; cut to *width* and *height*."""
    seen = [group.nodes[id] for id in sorted(group.nodes)]
    alive = sum(now_ms < each.peer.silent_at_ms for each in seen)
    head = Text(f"group {name}: {alive} of {len(seen)} nodes alive", "bold")
    for what, times in group.refused.items():
        head.append(f", {times} datagrams dropped: {what}", "yellow")
    if len({each.peer.said.floors for each in seen}) > 1:
        head.append(", not all have as many floors", "bold red")
    if len({each.peer.said.version for each in seen}) > 1:
        head.append(", not all run the same version", "bold yellow")
    head.append("    Ctrl-C ends it", "dim")
    room = max(1, height - HEAD_LINES)
    columns = max(1, math.ceil(len(seen) / room))
    cell = max(8, (width - 1) // columns)
    lines = [head, Text()]
    for number in range(min(room, math.ceil(len(seen) / columns) or 1)):
        line = Text()
        for each in seen[number :: math.ceil(len(seen) / columns) or 1]:
            text = describe(each, now_ms)
            text.truncate(cell - 2, pad=True)
            line.append_text(text).append("  ")
        lines.append(line)
    if not seen:
        lines.append(Text("nobody is heard yet", "dim"))
    for line in lines:
        line.truncate(max(1, width - 1))
    return Text("\n", end="", no_wrap=True, overflow="crop").join(lines[: max(1, height - 1)])


def describe(seen: HeardNode, now_ms: int) -> Text:
    """Return one node's line, what matters most first."""
    facts, said = row(seen, now_ms), seen.peer.said
    car = said.car
    text = Text(f"{said.sender.id:>2} ", "bold")
    if not facts["alive"]:
        text.append("○ ", "bold red").append(f"silent for {(now_ms - seen.at_ms) / 1000:.0f} s", "red")
        return text.append(f"  {seen.address}", "dim")
    arrow = "▲" if car.direction is Direction.UP else "▼"
    text.append("● ", "green").append(f"{car.floor:>2}")
    text.append(" " if car.behaviour is Behaviour.IDLE else arrow, "cyan")
    if facts["twice"]:
        text.append(f" {'two with this id':<19}", "bold red")
    elif car.fault is not Fault.NONE:
        text.append(f" {car.fault:<19}", "red")
    else:
        doing = {Behaviour.IDLE: "at rest", Behaviour.MOVING: "moving", Behaviour.DOOR_OPEN: "door open"}
        text.append(f" {doing[car.behaviour]:<19}", "yellow" if car.behaviour is Behaviour.DOOR_OPEN else "")
    _, cabs = demand(seen.peer.calls.live.values())
    for sign, floors, style in (
        ("▲", said.claims.up, "green"),
        ("▼", said.claims.down, "magenta"),
        ("■", cabs.get(said.sender.id, 0), "cyan"),
    ):
        text.append(f" {sign + ','.join(map(str, floors_of(floors))) if floors else '':<8}", style)
    text.append(f" {facts['per_second']:>5}/s {100 * seen.peer.loss:>3.0f} % lost {facts['age_ms']:>4} ms", "dim")
    return text.append(f"  {seen.address}  {said.floors} floors  {said.version}", "dim")


def scene(group: Group, now_ms: int) -> dict[str, object]:
    """Return the group as the page shows buildings: what is not known of a real one is left out."""
    seen = [group.nodes[id] for id in sorted(group.nodes)]
    floors = max([each.peer.said.floors for each in seen], default=2)
    names = [each.peer.said.sender.id for each in seen]
    building = {"floors": floors, "cars": len(seen), "nodes": True, "watched": True, "profiles": [], "names": names}
    shown: dict[str, object] = {"building": building}
    for number, each in enumerate(seen):
        facts, said = row(each, now_ms), each.peer.said
        car, version = said.car, said.version
        moving = car.behaviour is Behaviour.MOVING
        hall, _ = demand(each.peer.calls.live.values())
        shown[f"car{number}"] = {
            "height": car.floor + (car.direction * 0.5 if moving else 0),
            "since_ms": 0,
            "speed": 0,
            "motor": int(car.direction) if moving else 0,
            "power": True,
            "out": False,
            "door": facts["door"],
            "lamps": {"up": floors_of(hall.up), "down": floors_of(hall.down), "cab": facts["cab"]},
            "pressed": {"up": [], "down": [], "cab": []},
            "indicator": car.floor,
            "stop": car.fault is Fault.STOP,
            "obstructed": car.fault is Fault.DOOR,
        }
        shown[f"node{number}"] = {
            "note": f"{facts['per_second']:.0f}/s, {100 * each.peer.loss:.0f} % lost, {each.address}, {version}",
            "state": "running",
            "plugged": True,
            "heard": facts["alive"],
            "direction": int(car.direction),
            "behaviour": facts["behaviour"],
            "fault": facts["fault"],
            "up": floors_of(each.peer.said.claims.up),
            "down": floors_of(each.peer.said.claims.down),
        }
    return shown
