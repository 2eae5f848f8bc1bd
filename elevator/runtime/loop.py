"""The main loop of a node, and the only place where a running node waits.

One select waits for the elevator, the broadcast socket, the recorder, the supervisor, a signal and the next deadline.
The loop then reads what has arrived and takes one turn. It skips the turn if the node has no deadline due and no new
input. An unchanged panel snapshot remains the same object, so comparing identities shows whether it is new.
"""

import logging
import random
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from elevator.core.messages import Tick
from elevator.core.model import Assigner, Buttons, Inputs, Park, Policy
from elevator.core.node import Node, boot, heartbeat, record, wake_at_ms
from elevator.core.step import press_all, sent, step
from elevator.core.turn import turn
from elevator.hardware.elevator_server import ElevatorServer
from elevator.net.broadcast import Broadcast
from elevator.net.seal import NO_KEY
from elevator.processes.child import Signals
from elevator.processes.worker_link import ENDS, Link
from elevator.runtime.config import Config, ConfigError
from elevator.runtime.event_log import EventLog, RepeatedWarnings
from elevator.storage.recorder import Recorder
from elevator.storage.recorder_client import NOTHING

if TYPE_CHECKING:
    from elevator.hardware.card_port import CardPort

    Elevator = ElevatorServer | CardPort


log = logging.getLogger("elevator")


def run(config: Config, keys: Sequence[bytes], directory: Path | None, link: Link) -> None:
    """Run a node until a termination signal arrives. Raise StoreError or ConfigError if it cannot start.

    *keys* are the keys of the group. Without a *directory*, the node stores no record. The configured host must be an
    address (see `resolve`), because a name lookup could block the loop.
    """
    with ExitStack() as opened:
        signals = opened.enter_context(closing(Signals()))
        elevator = open_elevator(config, link)
        opened.callback(elevator.stop)
        disk = opened.enter_context(closing(Recorder(directory, config.floors, clock_ms)))
        pressed = Buttons()

        def poll() -> None:
            nonlocal pressed
            link.poll(clock_ms())
            elevator.poll(clock_ms())
            inputs = elevator.inputs(clock_ms())
            if inputs is not None:  # A button may be released before the record is read from a slow disk.
                new = inputs.pressed
                pressed = Buttons(pressed.up | new.up, pressed.down | new.down, pressed.cab | new.cab)

        loaded = disk.load(poll)
        policy = Policy(Assigner(config.assigner), Park(config.park))
        node = boot(config.id, config.floors, loaded, random.SystemRandom().randrange(1 << 32), clock_ms(), policy)
        node = press_all(node, pressed)
        disk.save(record(node))
        try:
            network = opened.enter_context(
                closing(Broadcast(config.group, config.net_port, config.broadcast, keys, node.me, clock_ms))
            )
        except OSError as error:
            raise ConfigError(error.strerror) from None
        key = "no key" if keys[0] == NO_KEY else "with a key"
        panel = f"I/O card {config.serial}" if config.serial else f"elevator server {config.host}:{config.port}"
        log.info("started: group %s, %s, %s", config.group, key, panel)
        serve(signals, link, disk, network, elevator, node)


def open_elevator(config: Config, link: Link) -> "Elevator":
    if config.serial is None:
        return ElevatorServer(config.host, config.port, config.floors)
    from elevator.hardware.card_port import CardPort  # Only nodes with a card load pyserial.

    return CardPort(str(config.serial), config.speed, link.hold)


def serve(signals: Signals, link: Link, disk: Recorder, network: Broadcast, elevator: "Elevator", node: Node) -> None:
    """Run *node* until a termination signal arrives, then stop the car and broadcast that it is out of service."""
    event_log, warnings = EventLog(), RepeatedWarnings()
    wake_ms = node.now_ms

    def read_panel() -> tuple[int, Inputs | None]:
        now_ms = clock_ms()
        return now_ms, elevator.inputs(now_ms)

    while signals.received is None:
        reading, writing = elevator.sockets()
        disk_reading, link_reading = disk.sockets(), link.sockets()
        now_ms = clock_ms()
        due_ms = min(wake_ms, elevator.wake_at_ms(), disk.wake_at_ms(), link.wake_at_ms(), network.wake_at_ms())
        waiting = [signals.socket, *network.sockets(now_ms), *disk_reading, *link_reading, *reading]
        readable = set(select.select(waiting, writing, [], max(due_ms - now_ms, 0) / 1000)[0])
        now_ms = clock_ms()
        link.poll(now_ms, readable=not readable.isdisjoint(link_reading))
        elevator.poll(now_ms, readable=not readable.isdisjoint(reading))
        while elevator.news:
            log.warning(elevator.news.pop(0))
        heartbeats = network.receive(now_ms, network.socket in readable)
        disk_news = disk.poll(readable=not readable.isdisjoint(disk_reading))
        inputs = elevator.inputs(now_ms)
        if heartbeats or disk_news is not NOTHING or inputs is not node.inputs or now_ms >= wake_ms:
            before = node
            recorded, failed, found = disk_news
            tick = Tick(now_ms, inputs, heartbeats, recorded, failed, found, elevator.asked_at_ms)
            node = turn(node, tick, read_panel, disk, network, elevator)
            wake_ms = wake_at_ms(node)
            for event in event_log.events(before, node):
                log.log(event.level, "%s", event.text)
            rejections = {"ignored an impossible floor sensor reading": node.drive.position.rejections}
            warnings.log({**node.warnings, **network.warnings, **rejections}, now_ms)
    log.info("stopping: received %s", signal.Signals(signals.received).name)
    link.send(ENDS)
    elevator.stop()
    leave(node, network)


def leave(node: Node, network: Broadcast) -> None:
    """Broadcast that the car is out of service, so that the peers reassign its hall calls at once.

    Do so three times, because datagrams may be lost.
    """
    node = step(node, Tick(clock_ms(), inputs=None))
    for _ in range(3):
        message = heartbeat(node)
        network.send(message)
        node = sent(node, message)


def resolve(host: str) -> str:
    """Return the IPv4 address of *host*; raise ConfigError if the lookup fails."""
    try:
        return socket.gethostbyname(host)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot resolve host {host}: {getattr(error, 'strerror', None) or error}") from None


def clock_ms() -> int:
    """Return a monotonic time in milliseconds. It advances while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
