"""A small controller for one car of a group, in one process and with the standard library only. No node is a leader.

- Each node controls one car. Every 20 ms it reads all datagrams and the panel, decides, writes to the disk, writes to
  the panel, and broadcasts its whole state in a heartbeat. So the next heartbeat makes up for a lost one.
- The calls of the group are counters that only grow (class Calls). Merging takes the larger counter. So lost, repeated,
  late and replayed datagrams do no harm, and the parts of a split group merge without losing a call.
- A node writes its calls to the disk before it sends or shows them.
- A lamp lights once all live peers, if there are any, have acknowledged the call. Then the call is on all their disks.
- The car with the lowest cost claims a hall call. It keeps its claim until the call is served, until the car goes out
  of service or its node dies, or until a car with a lower id claims the call too.

To test the exam, the option --broken adds a mistake. Most mistakes are conditions on `broken`, in the place where a
programmer would make them. variants.py lists them all.
"""

import argparse
import json
import os
import socket
import struct
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

UP, DOWN, CAB = 0, 1, 2
CYCLE_S = 0.02
TIMEOUT_S = 0.7
"""A peer is dead if no heartbeat arrives for this long. At 70 % packet loss, some of 35 heartbeats practically always
arrive."""
LISTEN_S = 0.5
"""For this long after its start, a node sets no outputs, so that it first learns the calls of its peers."""
STALE_S = 0.5
"""A snapshot of the panel is out of date if it took longer than this. If `drive` last ran longer ago than this, the
node has just started or connected, or was frozen. Then `drive` restarts its timers."""
SLOT_BYTES = 8192
DOOR_S = 3.0
BLOCKED_S = 3.5
"""A door is blocked if it is still open this long after `served_at`."""
MOTOR_S = 2.5
"""A running motor has failed if the floor sensor does not change for this long: floors are only 2 s apart."""
DOOR_MISTAKES_S = {"hasty-door": 1.0, "slow-door": 8.0}
"""The dwell times of the variants that get the dwell time wrong."""
LATE_MISTAKES: dict[str, tuple[tuple[int], int, float]] = {
    "opens-in-motion": ((1,), 0, 0.2),
    "starts-with-open-door": ((4,), 0, 0.5),
}
"""Outputs that some variants change too late: the key in Outputs, the new value, and the delay in seconds."""


class Call(NamedTuple):
    button: int
    floor: int


def hall_call(direction: int, floor: int) -> Call:
    return Call(UP if direction > 0 else DOWN, floor)


def seal(body: bytes) -> bytes:
    """Put a checksum before *body*."""
    return zlib.crc32(body).to_bytes(4, "big") + body


def unseal(data: bytes) -> bytes | None:
    """Return the body of sealed *data*; None if *data* is anything else."""
    body = data[4:]
    return body if data[:4] == zlib.crc32(body).to_bytes(4, "big") else None


class Calls:
    """The calls of the whole group: a counter for each node, button and floor. An odd counter is a call to be served.

    A press makes the counter of the node with the pressed panel odd, unless the call is already to be served. The node
    that serves the call makes it even. So each odd number stands for one press, and the larger of two counters is
    always the newer one.
    """

    def __init__(self, id: int, cars: int, floors: int) -> None:
        self.id, self.cars, self.floors = id, cars, floors
        self.counters = [0] * (cars * 3 * floors)
        every = [Call(button, floor) for button in (UP, DOWN, CAB) for floor in range(floors)]
        self.buttons = [call for call in every if call not in (Call(UP, floors - 1), Call(DOWN, 0))]

    def index(self, node: int, call: Call) -> int:
        return (node * 3 + call.button) * self.floors + call.floor

    def active(self, call: Call) -> list[int]:
        """Return the indexes of the odd counters of *call*. A cab call belongs to this node's car."""
        nodes = [self.id] if call.button == CAB else range(self.cars)
        return [i for i in (self.index(node, call) for node in nodes) if self.counters[i] % 2]

    def press(self, call: Call) -> None:
        if not self.active(call):
            self.counters[self.index(self.id, call)] += 1

    def serve(self, call: Call) -> None:
        for i in self.active(call):
            self.counters[i] += 1

    def merge(self, counters: list[int]) -> None:
        self.counters = list(map(max, self.counters, counters))

    def is_known(self, call: Call, counters: list[int]) -> bool:
        """Return whether a peer with *counters* knows the active *call*."""
        return any(counters[i] >= self.counters[i] for i in self.active(call))

    def cab_calls(self, car: int) -> int:
        return sum(self.counters[self.index(car, Call(CAB, floor))] % 2 for floor in range(self.floors))


@dataclass
class Heartbeat:
    """What a node broadcasts."""

    id: int
    boot: int
    """A number that grows with each start of the node."""
    number: int
    """A number that grows with each heartbeat. It begins again when the node starts."""
    floor: int
    direction: int
    in_service: bool
    counters: list[int]
    claims: list[Call]
    """The hall calls that the car claims."""


HEAD = struct.Struct("!BQIBb?H")
"""The fields of a heartbeat before the counters, and the number of counters. The counters and the claims follow."""


def encode(heartbeat: Heartbeat) -> bytes:
    count = len(heartbeat.counters)
    fields = (
        heartbeat.id,
        heartbeat.boot,
        heartbeat.number,
        heartbeat.floor,
        heartbeat.direction,
        heartbeat.in_service,
    )
    claims = bytes(number for call in heartbeat.claims for number in call)
    return HEAD.pack(*fields, count) + struct.pack(f"!{count}I", *heartbeat.counters) + claims


def decode(body: bytes, calls: Calls) -> Heartbeat:
    """Decode the result of `encode`. The claims are not checked.

    Raise ValueError if *body* is too short, or if it does not fit the building of *calls*.
    """
    expected = len(calls.counters)
    size = HEAD.size + 4 * expected
    if len(body) < size:
        raise ValueError("the heartbeat is incomplete")
    id, boot, number, floor, direction, in_service, count = HEAD.unpack_from(body)
    if count != expected or id >= calls.cars or floor >= calls.floors or direction not in (-1, 1):
        raise ValueError("the heartbeat is not from this building")
    counters = list(struct.unpack_from(f"!{count}I", body, HEAD.size))
    claims = [Call(*pair) for pair in zip(body[size::2], body[size + 1 :: 2], strict=False)]
    return Heartbeat(id, boot, number, floor, direction, in_service, counters, claims)


class Inputs(NamedTuple):
    """A snapshot of the panel."""

    pressed: set[Call]
    floor: int | None
    """The floor where the car is; None between floors."""
    stop: bool
    obstructed: bool


Outputs = dict[tuple[int, ...], int]
"""The value of each output. The key is the beginning of the message that sets the output; the value follows it."""


class Panel:
    """The connection to the elevator server, which answers messages in order."""

    def __init__(self, port: int, calls: Calls, broken: str) -> None:
        self.port, self.calls, self.broken = port, calls, broken
        self.server: socket.socket | None = None
        self.sent: Outputs = {}
        reads = [(6, *call, 0) for call in calls.buttons] + [(7, 0, 0, 0), (8, 0, 0, 0), (9, 0, 0, 0)]
        self.sweep = b"".join(map(bytes, reads))

    def read(self) -> Inputs | None:
        """Return all inputs; None if there is no server, or if the reply is late. If necessary, connect first.

        If the server sends nothing for 0.1 s, disconnect. If the reply takes longer than STALE_S in all, ignore it.
        """
        began = time.monotonic()
        try:
            if self.server is None:
                self.sent = {}
                self.server = socket.create_connection(("127.0.0.1", self.port), timeout=0.1)
                self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.server.sendall(self.sweep)
            reply = b""
            while len(reply) < len(self.sweep):
                data = self.server.recv(4096)
                # Otherwise the server may wait 40 ms for an acknowledgement before it sends the rest.
                self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                if not data:
                    raise ConnectionError
                reply += data
        except OSError:
            self.disconnect()
            return None
        floor, stop, obstruction = (reply[i : i + 4] for i in range(len(reply) - 12, len(reply), 4))
        inputs = Inputs(
            pressed={call for i, call in enumerate(self.calls.buttons) if reply[4 * i + 1]},
            floor=floor[2] if floor[1] and floor[2] < self.calls.floors else None,
            stop=bool(stop[1]),
            obstructed=bool(obstruction[1]),
        )
        return inputs if time.monotonic() < began + STALE_S else None

    def write(self, outputs: Outputs) -> None:
        """Send the outputs that differ from those already sent, in order."""
        changed = {key: value for key, value in outputs.items() if self.sent.get(key) != value}
        self.sent |= changed
        try:
            if self.server is not None and changed:
                messages = (bytes((*key, value & 255)).ljust(4, b"\0") for key, value in changed.items())
                self.server.sendall(b"".join(messages))
        except OSError:
            self.disconnect()

    def disconnect(self) -> None:
        if self.server is not None:
            self.server.close()
            if self.broken == "never-reconnects":
                self.port = 0
        self.server = None


@dataclass
class Car:
    """The car of this node."""

    is_connected: bool = False
    floor: int | None = None
    """The last floor reached; None if the car has reached none since the node started."""
    sensor: int | None = None
    """The floor in the last snapshot that `drive` used; None between floors."""
    driven_at: float = 0.0
    """When `drive` last ran."""
    direction: int = -1
    is_moving: bool = False
    moved_at: float = 0.0
    """The latest of three times: when the floor sensor last changed, when the motor was last off, and when the node
    last connected or was resumed."""
    motor_failed: bool = False
    is_stopped: bool = False
    """True while the stop button is down."""
    is_open: bool = False
    """True while the door is open. The state file has it too, because the door stays open if the program dies."""
    close_at: float = 0.0
    served_at: float = 0.0
    """The latest of three times: when the door opened, when a call was last served at this stop, and when the node last
    connected or was resumed."""
    is_announced: bool = False
    """True from the service of a hall call until the dwell time is over. Meanwhile the car keeps its direction."""
    pressed: set[Call] = field(default_factory=set)
    """The buttons that were down in the last snapshot."""
    claims: set[Call] = field(default_factory=set)
    """The hall calls that the car claims."""


@dataclass
class Mistakes:
    """State that only broken variants use."""

    polled_at: float = 0.0
    cycle_at: float = 0.0
    readings: list[int | None] = field(default_factory=list)
    """All readings of the floor sensor."""
    punctual_at: float = 0.0
    """When the output in LATE_MISTAKES last needed another value than the new one. The delay counts from then."""
    sent: list[int] = field(default_factory=list)
    """The node's counters at the last broadcast, even if the heartbeat contained zeros instead."""
    commands: list[Call] = field(default_factory=list)
    """The presses to send as commands."""
    returned_at: dict[int, float] = field(default_factory=dict)
    """When each peer was first heard, or heard again after a timeout."""
    leader: int = -1


class Node:
    def __init__(self, id: int, port: int, cars: int, floors: int, directory: Path, broken: str) -> None:
        self.id, self.broken = id, broken
        self.calls = Calls(id, cars, floors)
        self.panel = Panel(port, self.calls, broken)
        self.car = Car()
        self.heard_at: dict[int, float] = {}
        self.peers: dict[int, Heartbeat] = {}
        """The newest heartbeat of each peer, alive or dead."""
        self.boot, self.number = time.time_ns(), 0
        self.acts_at = time.monotonic() + LISTEN_S
        self.file = os.open(directory / "state", os.O_RDWR | os.O_CREAT)
        self.saved: object = None
        self.saves = 0
        self.door_s = DOOR_MISTAKES_S.get(broken, DOOR_S)
        self.mistakes = Mistakes()
        if broken != "forgets-all-calls":
            self.load()

    def run(self, net: socket.socket, address: tuple[str, int]) -> None:
        while True:
            now = time.monotonic()
            if self.broken == "disconnects-after-freeze" and 0 < self.mistakes.cycle_at < now - 1:
                net.close()
            self.mistakes.cycle_at = now
            self.receive_all(net, now)
            self.step(self.panel.read(), now)
            self.broadcast(net, address, now)
            time.sleep(max(0.0, now + CYCLE_S - time.monotonic()))

    def step(self, inputs: Inputs | None, now: float) -> None:
        is_acting = now >= self.acts_at
        self.car.is_connected = inputs is not None
        if inputs is not None:
            self.press(inputs.pressed, now)
            if is_acting:
                self.drive(inputs, now)
        if self.broken == "forgets-when-alone" and self.peers and not self.live_peers(now):
            for call in self.calls.buttons:
                if call.button != CAB:
                    self.calls.serve(call)
        self.claim_calls(now)
        self.save()
        if inputs is not None and is_acting:
            self.panel.write(self.outputs(now))

    def press(self, pressed: set[Call], now: float) -> None:
        """Add a call for each button that is newly pressed."""
        if self.broken == "misses-presses":
            if now < self.mistakes.polled_at + 1:
                return
            self.mistakes.polled_at = now
        if self.broken == "skips-top-floor":
            pressed = {call for call in pressed if call.floor < self.calls.floors - 1}
        for call in pressed - self.car.pressed:
            self.calls.press(call)
            if self.broken == "executes-replays" and call.button != CAB:
                self.mistakes.commands.append(call)
        self.car.pressed = pressed

    # The disk

    def load(self) -> None:
        slots = [os.pread(self.file, SLOT_BYTES, at).rstrip(b"\0") for at in (0, SLOT_BYTES)]
        states = [json.loads(body) for body in map(unseal, slots) if body]
        state = max(states, key=lambda state: int(state["saves"]), default=None)
        if state is not None and len(state["counters"]) == len(self.calls.counters):
            self.calls.counters, self.car.is_open, self.saves = state["counters"], state["is_open"], state["saves"]
            self.boot = max(self.boot, state["boot"] + 1)
        if self.broken == "forgets-cab-calls":
            for floor in range(self.calls.floors):
                self.calls.serve(Call(CAB, floor))

    def save(self) -> None:
        """Write the state to the disk if it has changed. A power cut damages at most one of the two slots."""
        state = {"boot": self.boot, "counters": self.calls.counters.copy(), "is_open": self.car.is_open}
        if state != self.saved:
            self.saved, self.saves = state, self.saves + 1
            slot = seal(json.dumps({"saves": self.saves, **state}).encode()).ljust(SLOT_BYTES, b"\0")
            assert len(slot) == SLOT_BYTES
            os.pwrite(self.file, slot, self.saves % 2 * SLOT_BYTES)
            os.fdatasync(self.file)

    # The network

    def receive_all(self, net: socket.socket, now: float) -> None:
        try:
            while True:
                self.receive(net.recv(65_536), now)
        except OSError:
            pass  # There are no more datagrams.

    def receive(self, data: bytes, now: float) -> None:
        body = data[4:] if self.broken == "no-checksum" else unseal(data)
        if self.broken == "executes-replays" and body is not None and len(body) == 2:
            self.calls.press(Call(*body))
            return
        try:
            heartbeat = decode(body or b"", self.calls)
        except ValueError:
            if self.broken == "crashes-on-garbage":
                raise
            return
        if heartbeat.id == self.id:
            return
        peer = self.peers.get(heartbeat.id)
        if peer is not None and self.broken == "ignores-returned-peers" and peer not in self.live_peers(now):
            return
        is_new = peer is None or (heartbeat.boot, heartbeat.number) > (peer.boot, peer.number)
        if is_new or self.broken == "trusts-arrival-order":
            if peer is not None and self.broken == "sends-once":
                heartbeat.counters = list(map(max, heartbeat.counters, peer.counters))
            if self.broken in ("adopts-when-alone", "two-leaders"):
                self.replace_calls(heartbeat, now)
            else:
                self.calls.merge(heartbeat.counters)
            self.peers[heartbeat.id], self.heard_at[heartbeat.id] = heartbeat, now

    def replace_calls(self, heartbeat: Heartbeat, now: float) -> None:
        """Apply the calls of *heartbeat* as two broken variants do, which replace calls instead of merging them.

        With "adopts-when-alone", a node without live peers copies the calls of the first peer that it hears. With
        "two-leaders", a node copies the calls of a new leader. After that, it merges only the leader's calls, and the
        leader merges all calls.

        In both variants, nothing is merged from a peer in the first 0.3 s after it appears or returns. The leader's
        calls are an exception.
        """
        live = [peer.id for peer in self.live_peers(now)]
        if heartbeat.id not in live:
            self.mistakes.returned_at[heartbeat.id] = now
        has_returned = now < self.mistakes.returned_at[heartbeat.id] + 0.3
        leader = min(self.id, heartbeat.id, *live) if self.broken == "two-leaders" else self.mistakes.leader
        if self.broken == "two-leaders":
            is_replaced = heartbeat.id == leader != self.mistakes.leader
            is_merged = heartbeat.id == leader or (self.id == leader and not has_returned)
        else:
            is_replaced = not live
            is_merged = not has_returned
        if is_replaced:
            self.calls.counters = heartbeat.counters.copy()
        elif is_merged:
            self.calls.merge(heartbeat.counters)
        self.mistakes.leader = leader

    def broadcast(self, net: socket.socket, address: tuple[str, int], now: float) -> None:
        self.number += 1
        heartbeat = self.heartbeat(now)
        if self.broken == "lights-at-once" and self.number % 25 > 0:
            return
        if self.broken == "sends-once":
            is_sent = heartbeat.counters == self.mistakes.sent
            self.mistakes.sent = heartbeat.counters.copy()
            heartbeat.counters = [0] * len(heartbeat.counters) if is_sent else heartbeat.counters
        try:
            net.sendto(seal(encode(heartbeat)), address)
            for call in self.mistakes.commands:
                net.sendto(seal(bytes(call)), address)
            self.mistakes.commands.clear()
        except OSError:
            pass  # There is no network now.

    def heartbeat(self, now: float) -> Heartbeat:
        car, in_service = self.car, self.is_in_service(now)
        counters, claims = self.calls.counters, list(car.claims)
        return Heartbeat(self.id, self.boot, self.number, car.floor or 0, car.direction, in_service, counters, claims)

    def live_peers(self, now: float) -> list[Heartbeat]:
        timeout_s = 1e9 if self.broken == "trusts-peers-forever" else TIMEOUT_S
        return [peer for peer in self.peers.values() if now < self.heard_at[peer.id] + timeout_s]

    # Which car serves a hall call

    def is_in_service(self, now: float) -> bool:
        car = self.car
        is_blocked = car.is_open and now > car.served_at + BLOCKED_S and self.broken != "trusts-the-door"
        is_ready = car.is_connected and car.floor is not None
        return is_ready and not (is_blocked or car.motor_failed or car.is_stopped)

    def claim_calls(self, now: float) -> None:
        """Claim each hall call that no other car claims, and that this car serves at the lowest cost.

        Drop the claims to calls that were served, or that a car with a lower id claims too. If this car is out of
        service, drop all claims.
        """
        if not self.is_in_service(now):
            self.car.claims.clear()
            return
        others = [peer for peer in self.live_peers(now) if peer.in_service]
        for call in self.calls.buttons:
            cars = [self.heartbeat(now), *others]
            claimants = [car.id for car in cars if call in car.claims]
            if self.broken == "accepts-claims-of-the-dead":
                claimants += [peer.id for peer in self.peers.values() if call in peer.claims]
            best = min(claimants) if claimants else self.cheapest(cars, call)
            if self.broken == "never-serves-down" and call.button == DOWN:
                continue
            if call.button != CAB and self.calls.active(call) and best == self.id:
                self.car.claims.add(call)
            else:
                self.car.claims.discard(call)

    def cheapest(self, cars: list[Heartbeat], call: Call) -> int:
        return min(cars, key=lambda car: (self.cost(car, call), car.id)).id

    def cost(self, car: Heartbeat, call: Call) -> int:
        distance = call.floor - car.floor
        load = len(car.claims) + self.calls.cab_calls(car.id)
        is_behind = load > 0 and distance * car.direction < 0
        return abs(distance) + 2 * load + (self.calls.floors if is_behind else 0)

    # The car

    def own_calls(self) -> set[Call]:
        """Return the calls that this car has to serve. At an open door, they include hall calls that others claim."""
        car = self.car
        return {
            call
            for call in self.calls.buttons
            if self.calls.active(call)
            and (call.button == CAB or call in car.claims or (car.is_open and call.floor == car.floor))
        }

    def is_ahead(self, direction: int, floor: int) -> bool:
        return any((call.floor - floor) * direction > 0 for call in self.own_calls())

    def heading(self, floor: int) -> int:
        """Return the direction of the car at *floor*.

        The direction changes only if the car has calls to serve in the other direction, and none in the current one.
        """
        for direction in (self.car.direction, -self.car.direction):
            if self.is_ahead(direction, floor) or hall_call(direction, floor) in self.own_calls():
                return direction
        return self.car.direction

    def drive(self, inputs: Inputs, now: float) -> None:
        """Decide what the motor and the door do."""
        car, floor = self.car, inputs.floor
        is_stopped = inputs.stop and self.broken != "ignores-stop-button"
        if self.broken == "brakes-late":
            self.mistakes.readings.append(floor)
            floor = self.mistakes.readings[-35:][0]  # The reading 0.7 s ago.
        if now > car.driven_at + STALE_S:
            car.moved_at, car.served_at, car.close_at = now, now, now + self.door_s
        was_moving, has_changed = car.is_moving, floor != car.sensor
        if has_changed or not was_moving or is_stopped:
            car.moved_at = now
        car.motor_failed = now > car.moved_at + MOTOR_S or (car.motor_failed and not has_changed)
        if self.broken == "trusts-the-motor":
            car.motor_failed = False
        car.driven_at, car.sensor, car.is_stopped = now, floor, is_stopped
        if floor is None:
            if not car.is_moving:  # The node starts with the car between floors. There is always a floor below.
                car.direction = -1
            car.is_moving, car.is_open = True, False
            return
        car.floor = floor
        if car.is_open:
            self.hold_door(floor, inputs.obstructed and self.broken != "ignores-obstruction", now)
        elif car.motor_failed:
            car.is_moving = True  # When the power returns, the car drives to the next floor.
        else:
            car.direction = self.heading(floor)
            car.is_moving = self.is_ahead(car.direction, floor)
            opens = bool(self.own_calls() & {Call(CAB, floor), hall_call(car.direction, floor)})
            if self.broken == "ignores-own-floor":
                opens = opens and was_moving
            if self.broken == "stops-everywhere":
                opens = opens or has_changed
            if self.broken == "reopens-when-idle":
                opens = opens or not self.own_calls()
            if opens:
                car.is_moving, car.is_open, car.is_announced = False, True, False
                car.served_at, car.close_at = now, now + self.door_s

    def hold_door(self, floor: int, is_obstructed: bool, now: float) -> None:
        """Serve the calls at the open door, and close it after the dwell time.

        The command to open the door was sent in an earlier cycle. The panel has replied since, so the door is open.
        """
        car = self.car
        if now >= car.close_at and not is_obstructed:
            # If there are no calls ahead, `serve` may announce the other direction. Then the door stays open.
            car.is_open = car.is_announced = False
        if self.serve(floor):
            car.is_open, car.served_at, car.close_at = True, now, now + self.door_s
        if is_obstructed and self.broken != "closes-after-obstruction":
            car.close_at = now + self.door_s

    def serve(self, floor: int) -> bool:
        """Serve the cab call for *floor* and the hall call in the car's direction. Return whether there was either.

        Choose the direction first, unless the car has announced it at this stop.
        """
        car = self.car
        if not car.is_announced:
            car.direction = self.heading(floor)
        hall = hall_call(car.direction, floor)
        served = [call for call in (Call(CAB, floor), hall) if self.calls.active(call)]
        for call in served:
            self.calls.serve(call)
        car.is_announced = car.is_announced or hall in served
        return bool(served)

    def outputs(self, now: float) -> Outputs:
        """Return the outputs for the panel, in the order to send them. Outputs that are missing stay unchanged."""
        car = self.car
        motor = car.direction if car.is_moving and not car.is_stopped else 0
        # The motor stops before the door opens, and starts after the door has closed.
        outputs: Outputs = {(1,): motor, (4,): car.is_open} if motor == 0 else {(4,): car.is_open, (1,): motor}
        outputs[5,] = car.is_stopped
        if car.floor is not None:
            outputs[3,] = car.floor
            if self.broken == "counts-from-one":
                outputs[3,] = min(car.floor + 1, self.calls.floors - 1)
        for call in self.calls.buttons:
            lamp = self.lamp(call, now)
            if lamp is not None:
                outputs[2, *call] = lamp
        if self.broken in LATE_MISTAKES:
            key, value, late_s = LATE_MISTAKES[self.broken]
            if outputs[key] != value:
                self.mistakes.punctual_at = now
            elif now < self.mistakes.punctual_at + late_s:
                del outputs[key]
        return outputs

    def lamp(self, call: Call, now: float) -> bool | None:
        """Return whether the lamp of *call* should be lit. None leaves it unchanged.

        While a live peer does not know the call, the lamp stays unchanged. So a new call stays dark, and a restart of
        this node or a peer does not darken a lit lamp.
        """
        peers = self.live_peers(now)
        is_hall, active = call.button != CAB, self.calls.active(call)
        if self.broken == "shares-cab-lamps" and not is_hall:
            return any(self.calls.counters[self.calls.index(car, call)] % 2 for car in range(self.calls.cars))
        if self.broken == "darkens-when-assigned" and call in self.car.claims.union(*(peer.claims for peer in peers)):
            return False
        if (
            self.broken == "darkens-own-panel-only"
            and not active
            and not (self.car.is_open and self.car.floor == call.floor)
        ):
            return None
        leader = min((peer for peer in peers if peer.id < self.id), key=lambda peer: peer.id, default=None)
        if self.broken == "trusts-arrival-order" and is_hall and leader is not None:
            return any(leader.counters[self.calls.index(node, call)] % 2 for node in range(self.calls.cars))
        if self.broken == "lights-at-once" and active and is_hall:
            return True
        if self.broken == "lights-pressed-panel-only" and active and self.calls.index(self.id, call) not in active:
            return None
        if self.broken == "needs-a-peer" and active and not peers:
            return None
        if not active:
            return False
        return True if all(self.calls.is_known(call, peer.counters) for peer in peers) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", type=int, required=True, help="number of this node, from 0")
    parser.add_argument("--port", type=int, default=15657, help="port of the elevator server (default %(default)s)")
    parser.add_argument("--cars", type=int, default=3, help="number of cars (default %(default)s)")
    parser.add_argument("--floors", type=int, default=4, help="number of floors (default %(default)s)")
    parser.add_argument("--dir", type=Path, required=True, help="directory for the state of this node")
    parser.add_argument("--net-port", type=int, default=30100, help="UDP port of the nodes (default %(default)s)")
    parser.add_argument(
        "--broadcast",
        default="255.255.255.255",
        help="address to which the node sends its heartbeats (default %(default)s)",
    )
    parser.add_argument("--broken", default="", metavar="NAME", help="mistake to make; see variants.py")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    node = Node(options.id, options.port, options.cars, options.floors, options.dir, options.broken)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as net:
        for option in (socket.SO_BROADCAST, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            net.setsockopt(socket.SOL_SOCKET, option, 1)
        net.bind(("", options.net_port))
        net.setblocking(False)
        node.run(net, (options.broadcast, options.net_port))


if __name__ == "__main__":
    main()
