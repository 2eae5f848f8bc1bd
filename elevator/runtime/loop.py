"""The only place where a node waits: one select over the elevator, the broadcast port, the recorder and the clock.

Drain everything that is readable, take one turn, sleep until something is readable or the nearest deadline. An answer
of the panel that is the same as before, with no deadline reached, costs a comparison.
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

from elevator.core.model import Assigner, Buttons, Inputs, Park, Policy, Tick
from elevator.core.node import Node, boot, heartbeat, record, wake_at_ms
from elevator.core.step import press_all, sent, step
from elevator.core.turn import turn
from elevator.hardware.elevator_server import ElevatorServer
from elevator.net.broadcast import Broadcast
from elevator.net.seal import NO_KEY
from elevator.processes.child import Signals
from elevator.processes.worker_link import ENDS, Link
from elevator.runtime import event_log
from elevator.runtime.config import Config, ConfigError
from elevator.storage.recorder import Recorder
from elevator.storage.recorder_client import NOTHING

if TYPE_CHECKING:
    from elevator.hardware.card_port import CardPort

    Elevator = ElevatorServer | CardPort


log = logging.getLogger("elevator")


def run(config: Config, keys: Sequence[bytes], directory: Path | None, link: Link) -> None:
    """Run a node of a group with *keys* until it is told to end. Raise StoreError or ConfigError if it cannot start.

    The host is an address: looking up a name may take longer than a loop may stand still.
    """
    with ExitStack() as opened:
        signals = opened.enter_context(closing(Signals()))
        elevator = hardware(config, link)
        opened.callback(elevator.stop)
        disk = opened.enter_context(closing(Recorder(directory, config.floors, clock_ms)))

        pressed = Buttons()

        def meanwhile() -> None:
            nonlocal pressed
            link.attend(clock_ms())
            elevator.attend(clock_ms())
            inputs = elevator.inputs(clock_ms())
            if inputs is not None:  # A slow disk takes longer than a finger.
                new = inputs.pressed
                pressed = Buttons(pressed.up | new.up, pressed.down | new.down, pressed.cab | new.cab)

        kept = disk.load(meanwhile)
        policy = Policy(Assigner(config.assigner), Park(config.park))
        node = boot(config.id, config.floors, kept, random.SystemRandom().randrange(1 << 32), clock_ms(), policy)
        node = press_all(node, pressed)
        disk.save(record(node))
        try:
            network = opened.enter_context(
                closing(Broadcast(config.group, config.net_port, config.broadcast, keys, node.me, clock_ms))
            )
        except OSError as error:
            raise ConfigError(f"cannot use the broadcast port: {error.strerror or error}") from None
        at = f"I/O card {config.serial}" if config.serial else f"elevator server {config.host}:{config.port}"
        sealed = "" if keys[0] == NO_KEY else ", with a key"
        log.info("node %d of group %s%s: %s", config.id, config.group, sealed, at)
        serve(signals, link, disk, network, elevator, node)


def hardware(config: Config, link: Link) -> "Elevator":
    """Return the elevator that is configured."""
    if config.serial is None:
        return ElevatorServer(config.host, config.port, config.floors)
    from elevator.hardware.card_port import CardPort  # only those who need it load pyserial

    return CardPort(str(config.serial), config.speed, link.hold)


def serve(signals: Signals, link: Link, disk: Recorder, network: Broadcast, elevator: "Elevator", node: Node) -> None:
    """Turn for as long as no signal comes."""
    diary, complaints = event_log.Journal(), event_log.Complaints()
    wake_ms = node.now_ms

    def look() -> tuple[int, Inputs | None]:
        now_ms = clock_ms()
        return now_ms, elevator.inputs(now_ms)

    while signals.received is None:
        reading, writing = elevator.sockets()
        disk_reading, link_reading = disk.sockets(), link.sockets()
        now_ms = clock_ms()
        due_network_ms = network.wake_at_ms(now_ms)
        due_ms = min(wake_ms, elevator.wake_at_ms(), disk.wake_at_ms(), link.wake_at_ms(), due_network_ms)
        waiting = [signals.socket, *network.sockets(now_ms), *disk_reading, *link_reading, *reading]
        readable, _, _ = select.select(waiting, writing, [], max(due_ms - now_ms, 0) / 1000)
        now_ms = clock_ms()
        link.attend(now_ms, readable=any(each in readable for each in link_reading))
        elevator.attend(now_ms, readable=any(each in readable for each in reading))
        while elevator.news:
            log.warning(elevator.news.pop(0))
        has_mail = due_network_ms <= now_ms or network.socket in readable
        heartbeats = network.receive(now_ms) if has_mail else ()
        told = disk.attend(readable=any(each in readable for each in disk_reading))
        inputs = elevator.inputs(now_ms)
        if heartbeats or told is not NOTHING or inputs is not node.inputs or now_ms >= wake_ms:
            before = node
            tick = Tick(now_ms, inputs, heartbeats, told.recorded, told.failed, told.found, elevator.asked_at_ms)
            node = turn(node, tick, look, disk, network, elevator)
            wake_ms = wake_at_ms(node)
            for line in diary.news(before, node):
                log.info(line)
            doubts = {"the floor sensor said what cannot be: ignored": node.drive.position.rejections}
            complaints.say({**node.oddities, **network.oddities, **doubts}, now_ms)
    log.info("ends: %s", signal.Signals(signals.received).name)
    link.say(ENDS)
    elevator.stop()
    farewell(node, network)


def farewell(node: Node, network: Broadcast) -> None:
    """Tell the others that this car is out of service, so that they need not wait for its silence."""
    node = step(node, Tick(clock_ms(), inputs=None))
    for _ in range(3):
        network.send(heartbeat(node))
        node = sent(node)


def resolve(host: str) -> str:
    """Return the address of *host*; raise ConfigError if it has none."""
    try:
        return socket.gethostbyname(host)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host {host}: {getattr(error, 'strerror', None) or error}") from None


def clock_ms() -> int:
    """Return milliseconds that only count up, also while the machine sleeps: a node must notice that it did."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
