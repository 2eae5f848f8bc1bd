"""A fleet: one process that plays all nodes of a group except node 0, on the loopback broadcast address.

Node 0 receives datagrams like those of a real group: elevator.core.outgoing schedules and composes the heartbeats, and
each fleet node has its own address. The fleet needs little processor time, because its nodes share one call set. Each
node publishes a change after a delay of its own, in place of a disk write.

The fleet cars claim all hall calls that the fleet knows. So the car of node 0 stays where it is until a button on its
own panel is pressed.

The process reads commands from standard input, one per line, until end of file:

    load     serve the calls in `reserved` and move the cars; from now on, press CHANGES_PER_S buttons and serve
             CHANGES_PER_S calls each second
    serve    at the next service, serve all calls that were pressed on the panel of node 0, instead of another call
    report   print a line of JSON: whether all nodes agree; and since the last report, how much the fleet has sent,
             and how late

Under load, a press on the panel of node 0 replaces the next press of the fleet. The fleet does not press the buttons in
`reserved`, so that the panel of node 0 has dark buttons.
"""

import argparse
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from heapq import heappop, heappush

from attrs import evolve

from elevator import __version__
from elevator.core import outgoing
from elevator.core.call_set import merge, press, serve
from elevator.core.messages import Heartbeat
from elevator.core.model import (
    AGES,
    EVERY_CAR,
    RATE_MAX,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Fault,
    Rates,
)
from elevator.core.outgoing import Outgoing
from elevator.core.peers import HEARTBEAT_MS
from elevator.net.seal import HEAD_BYTES, NO_KEY, seal
from elevator.net.wire import decode, encode

EVERYBODY, NODE = "127.255.255.255", "127.0.0.1"
"""The destination of all heartbeats, and the source address of node 0."""
GROUP = "lab"
CABS = 8
"""The number of cab buttons that are used in each car; fewer in a small building."""
CHANGES_PER_S = 10
SERVED_MAX = 3
"""If more than this many calls in `Fleet.pool` are not lit, the car of node 0 has served some of them. Then the fleet
serves no call in the pool."""
MOVE_MS = 2000
"""The time that a fleet car takes from floor to floor."""
DISK_MS = 2, 8
"""The shortest and the longest simulated disk write: the delay from a change to its publication. All writes of a node
take equally long."""
LATE_MS = 20
"""A heartbeat counts as late if it is sent more than this long after it was due."""
INCARNATION = 1 << 40
RATES = RATE_MAX // 10


def authors(cars: int) -> list[Author]:
    return [Author(id, INCARNATION + id) for id in range(cars)]


def hall_calls(floors: int) -> list[Call]:
    """Return all hall calls except "up" at floor 0, because the car of node 0 would serve that call at once."""
    up = [Call(Button.UP, floor, EVERY_CAR) for floor in range(1, floors - 1)]
    return up + [Call(Button.DOWN, floor, EVERY_CAR) for floor in range(1, floors)]


def cab_calls(car: int, floors: int) -> list[Call]:
    """Return up to CABS cab calls of *car*, none of them to floor 0."""
    chosen = random.Random(car).sample(range(1, floors), min(CABS, floors - 1))
    return [Call(Button.CAB, floor, car) for floor in chosen]


def reserved(floors: int) -> list[Call]:
    """Return the hall calls that only node 0 presses under load.

    They are half of `hall_calls`, or 12 to 16 of them if there are more than 35.
    """
    every = hall_calls(floors)
    return every[:: max(2, len(every) // 12)]


def lit(pressing: Sequence[Author], floors: int) -> Calls:
    """Return a call set in which each of the nodes *pressing* has made its `cab_calls` and its part of `hall_calls`."""
    calls = Calls()
    for number, call in enumerate(hall_calls(floors)):
        calls = press(calls, pressing[number % len(pressing)], call)
    for author in pressing:
        for call in cab_calls(author.id, floors):
            calls = press(calls, author, call)
    return calls


def rates(floors: int) -> Rates:
    return Rates((RATES,) * floors, (RATES,) * floors)


def standing_car(id: int, cars: int, floors: int) -> Car:
    """Return car *id*, idle and in service. The cars are spread over the building, with car 0 at floor 0."""
    return Car(id * floors // cars, Direction.UP, Behaviour.IDLE, Fault.NONE)


def moved(car: Car, floors: int) -> Car:
    """Return *car* one floor further. The car reverses at an end floor."""
    reverses = not 0 <= car.floor + car.direction < floors
    direction = car.direction.opposite if reverses else car.direction
    return evolve(car, floor=car.floor + direction, direction=direction, behaviour=Behaviour.MOVING)


def share(id: int, cars: int, floors: int) -> Buttons:
    """Return the hall calls that fleet car *id* claims while they are lit."""
    up, down = (
        sum(1 << floor for floor in range(floors) if (2 * floor + way) % (cars - 1) == id - 1) for way in range(2)
    )
    return Buttons(up, down)


class Task(IntEnum):
    """A task of one fleet node, or of the whole fleet."""

    PUBLISH = 0
    SEND = 1
    MOVE = 2
    PRESS = 3
    SERVE = 4


class Fleet:
    """Nodes 1 to *cars* - 1 of a group. Node 0 is real."""

    def __init__(self, cars: int, floors: int, port: int) -> None:
        self.cars, self.floors, self.port = cars, floors, port
        self.rng = random.Random(1)
        self.authors = authors(cars)[1:]
        self.calls = lit(self.authors, floors)
        self.car = {each.id: standing_car(each.id, cars, floors) for each in self.authors}
        self.shares = {each.id: share(each.id, cars, floors) for each in self.authors}
        self.disk_ms = {each.id: self.rng.randint(*DISK_MS) for each in self.authors}
        self.outgoing = {each.id: Outgoing(sent_at_ms=clock_ms()) for each in self.authors}
        self.due_at_ms = dict.fromkeys(self.outgoing, 0)
        """When the next heartbeat of each node is due. SEND tasks of the node with another time are obsolete."""
        self.agreed_at_ms = dict.fromkeys(self.outgoing, 0)
        """When each node last sent a heartbeat while all nodes published the same calls; 0 if never."""
        self.published: Counter[int] = Counter()
        """How many fleet nodes publish each digest."""
        self.publishing: set[int] = set()
        """The nodes whose publication of a change is pending."""
        self.heard: Heartbeat | None = None
        """The newest heartbeat of node 0."""
        self.pressed_at_0 = 0
        """How many of the fleet's next presses to skip: one for each press on the panel of node 0."""
        self.should_serve_0 = False
        pool = [*hall_calls(floors), *[call for each in self.authors for call in cab_calls(each.id, floors)]]
        self.pool = [call for call in pool if call not in reserved(floors)]
        self.tasks: list[tuple[int, Task, int]] = []
        """A heap of (time, task, node). A task of the whole fleet has node 0."""
        self.sent = self.sent_bytes = self.late = self.worst_ms = 0
        self.receiver = open_receiver(port)
        self.senders = {each.id: open_sender(each.id) for each in self.authors}
        for number, author in enumerate(self.authors):
            heappush(self.tasks, (clock_ms() + number * HEARTBEAT_MS // cars, Task.PUBLISH, author.id))

    def run(self) -> None:
        """Run until standard input ends."""
        while True:
            wait_s = max(0, self.tasks[0][0] - clock_ms()) / 1000
            readable, _, _ = select.select([self.receiver, sys.stdin], [], [], wait_s)
            if self.receiver in readable:
                self.receive()
            if sys.stdin in readable:
                commands = os.read(sys.stdin.fileno(), 1 << 16).decode()
                if not commands:
                    return
                for command in commands.split():
                    self.execute(command)
            while self.tasks[0][0] <= clock_ms():
                self.do(*heappop(self.tasks))

    def execute(self, command: str) -> None:
        match command:
            case "load":
                self.change(serve(self.calls, set(reserved(self.floors))))
                every_ms = 1000 // CHANGES_PER_S
                heappush(self.tasks, (clock_ms(), Task.PRESS, 0))
                heappush(self.tasks, (clock_ms() + every_ms // 2, Task.SERVE, 0))
                for author in self.authors:
                    heappush(self.tasks, (clock_ms() + self.rng.randrange(MOVE_MS), Task.MOVE, author.id))
            case "serve":
                self.should_serve_0 = True
            case _:
                print(json.dumps(self.report()), flush=True)

    def report(self) -> dict[str, int]:
        heard, everybody = self.heard, (1 << self.cars) - 2
        agrees = heard is not None and heard.hears == everybody and set(self.published) == {heard.digest}
        sent = {"sent": self.sent, "bytes": self.sent_bytes, "late": self.late, "worst_ms": self.worst_ms}
        self.sent = self.sent_bytes = self.late = self.worst_ms = 0
        return {"agrees": agrees, **sent}

    def do(self, at_ms: int, task: Task, id: int) -> None:
        now_ms, every_ms = clock_ms(), 1000 // CHANGES_PER_S
        match task:
            case Task.PUBLISH:
                self.publish(id, now_ms)
            case Task.SEND:
                if self.due_at_ms[id] == at_ms:
                    self.send(id, now_ms)
            case Task.MOVE:
                self.car[id] = moved(self.car[id], self.floors)
                self.publish(id, now_ms)
                heappush(self.tasks, (at_ms + MOVE_MS, Task.MOVE, id))
            case Task.PRESS:
                if self.pressed_at_0:
                    self.pressed_at_0 -= 1
                else:
                    self.press()
                heappush(self.tasks, (at_ms + every_ms, Task.PRESS, 0))
            case Task.SERVE:
                self.serve()
                heappush(self.tasks, (at_ms + every_ms, Task.SERVE, 0))

    def press(self) -> None:
        """Press the button of a random call in `pool` that is not lit, if there is one."""
        live = {*self.calls.live.values()}
        dark = [call for call in self.pool if call not in live]
        if dark:
            call = self.rng.choice(dark)
            author = self.rng.choice(self.authors) if call.car == EVERY_CAR else self.authors[call.car - 1]
            self.change(press(self.calls, author, call))

    def serve(self) -> None:
        """Serve a random call in `pool`, unless the car of node 0 has already served several (SERVED_MAX).

        After the command `serve`, serve all calls of node 0 instead, once there are any.
        """
        of_0 = [call for dot, call in self.calls.live.items() if dot.author.id == 0]
        if self.should_serve_0 and of_0:
            self.should_serve_0 = False
            self.change(serve(self.calls, {*of_0}))
        else:
            live = {*self.calls.live.values()}
            ours = [call for call in self.pool if call in live]
            if len(ours) >= len(self.pool) - SERVED_MAX:
                self.change(serve(self.calls, {self.rng.choice(ours)}))

    def change(self, calls: Calls) -> None:
        """Replace the call set. Each node publishes it after its own delay."""
        if calls is self.calls:
            return
        self.calls, now_ms = calls, clock_ms()
        for author in self.authors:
            if author.id not in self.publishing:
                self.publishing.add(author.id)
                heappush(self.tasks, (now_ms + self.disk_ms[author.id], Task.PUBLISH, author.id))

    def publish(self, id: int, now_ms: int) -> None:
        self.publishing.discard(id)
        old, calls = self.outgoing[id], self.calls
        others = [author.id for author in self.authors if author.id != id] + [0] * (self.heard is not None)
        hears = sum(1 << other for other in others)
        claims = calls.hall & self.shares[id]
        car, me = self.car[id], self.authors[id - 1]
        message = Heartbeat(
            me,
            0,
            self.floors,
            car,
            claims,
            hears,
            calls,
            calls.digest,
            rates(self.floors),
            (calls.hall,) * AGES,
            __version__,
        )
        new = self.outgoing[id] = outgoing.compose(old, message, now_ms)
        if new is not old:
            if old.message is not None:
                self.published -= Counter([old.message.digest])
            self.published[calls.digest] += 1
            self.schedule(id, now_ms)

    def schedule(self, id: int, now_ms: int) -> None:
        due_at_ms = self.due_at_ms[id] = max(outgoing.due_at_ms(self.outgoing[id]), now_ms)
        heappush(self.tasks, (due_at_ms, Task.SEND, id))

    def send(self, id: int, now_ms: int) -> None:
        mine, node = self.outgoing[id], self.heard
        assert mine.message is not None
        differs = len(self.published) > 1 or (node is not None and node.digest != mine.message.digest)
        if not differs:
            self.agreed_at_ms[id] = now_ms
        heartbeat = outgoing.heartbeat(mine, now_ms, self.cars - 1, self.agreed_at_ms[id] if differs else None)
        datagram = seal(encode(heartbeat, GROUP), NO_KEY)
        self.senders[id].sendto(datagram, (EVERYBODY, self.port))
        late_ms = now_ms - self.due_at_ms[id]
        self.sent += 1
        self.sent_bytes += len(datagram)
        self.late += late_ms > LATE_MS
        self.worst_ms = max(self.worst_ms, late_ms)
        self.outgoing[id] = outgoing.sent(mine, heartbeat, now_ms)
        self.schedule(id, now_ms)

    def receive(self) -> None:
        """Receive the heartbeats of node 0, and merge their calls."""
        while True:
            try:
                heartbeat = decode(self.receiver.recv(1 << 11)[HEAD_BYTES:], GROUP)
            except BlockingIOError:
                return
            if heartbeat is None or heartbeat.sender.id != 0:
                continue
            is_first, self.heard = self.heard is None, heartbeat
            known = self.newest_of_0()
            self.change(merge(self.calls, heartbeat.calls))
            self.pressed_at_0 += self.newest_of_0() - known
            if is_first:
                for author in self.authors:
                    self.publish(author.id, clock_ms())

    def newest_of_0(self) -> int:
        return sum(entry.newest for author, entry in self.calls.entries.items() if author.id == 0)


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def open_receiver(port: int) -> socket.socket:
    """Return a socket that receives only broadcasts of node 0. The kernel discards those of the fleet."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    opened.bind((EVERYBODY, port))
    opened.connect((NODE, port))
    opened.setblocking(False)
    return opened


def open_sender(id: int) -> socket.socket:
    """Return a broadcast socket for fleet node *id*, with its own loopback address."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.bind((f"127.0.1.{id}", 0))
    return opened


def main() -> int:
    parser = argparse.ArgumentParser(description="Play all nodes of a group except node 0.")
    for name in ("cars", "floors", "port"):
        parser.add_argument(name, type=int)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # On Ctrl-C, the benchmark closes standard input.
    Fleet(arguments.cars, arguments.floors, arguments.port).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
