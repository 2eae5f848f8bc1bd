"""Begins and ends faults at a simulated node."""

from elevator.building import elevators
from elevator.core.evolve import evolve
from elevator.simulation.events import DiskWiped
from elevator.simulation.faults import KILLS, FaultKind, InjectedFault
from elevator.simulation.links import with_or_without
from elevator.simulation.simulated_disk import SOUND_MS
from elevator.simulation.simulated_node import DISTURBING, SimulatedNode

STOPS_PROGRAM = (*KILLS, FaultKind.BLACKOUT)


def apply(node: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    """Begin or end *fault* at *node*. Faults of the same kind may overlap."""
    kind, now_ms, server = fault.kind, node.trial.now_ms, node.server
    was_active = node.has(kind)
    node.faults = with_or_without(node.faults, fault, begins)
    changed = node.has(kind) is not was_active
    if kind in DISTURBING:
        node.disturbed_at_ms = now_ms
    if node.process.is_frozen:  # The car may have moved while its program was frozen.
        server.settle(now_ms)
    node.process.is_frozen = node.has(FaultKind.FREEZE)
    node.disk.is_broken = node.has(FaultKind.DISK)
    node.panel.is_unreachable = node.has(FaultKind.SERVER)
    match kind:
        case FaultKind.KILL | FaultKind.WIPE | FaultKind.CRASH | FaultKind.BLACKOUT:
            kill_or_start(node, fault, begins)
        case FaultKind.FREEZE if changed and begins:
            node.panel.catch_up(now_ms)
        case FaultKind.FREEZE if changed:
            resume(node)
        case FaultKind.SLOW_DISK:
            node.disk.write_max_ms = longest_delay_ms(node, kind) or SOUND_MS
            node.disk.finish_soon(now_ms)
        case FaultKind.RECORDER if begins and node.state is not None:
            node.disk.lose_recorder()
            node.disk.due_at_ms = now_ms
        case FaultKind.MOTOR if changed:
            server.change(elevators.power(node.elevator, not begins, now_ms), now_ms)
            if fault.detail and not begins:
                server.change(elevators.disconnect(node.elevator, now_ms), now_ms)
        case FaultKind.OBSTRUCT if changed:
            server.change(evolve(node.elevator, obstructed=begins), now_ms)
        case FaultKind.FALSE_FLOOR if changed:
            node.panel.sweep_soon(now_ms)
        case FaultKind.DEAD_SENSOR if changed:
            server.put_back(now_ms)
            node.panel.sweep_soon(now_ms)
        case FaultKind.STOP if changed:
            server.change(evolve(node.elevator, stop=begins), now_ms)
        case FaultKind.SLOW_SERVER:
            server.lag_ms = longest_delay_ms(node, kind)
            if not server.lag_ms:
                server.requests_at_ms = server.reply_at_ms = node.panel.sweep_at_ms = now_ms
        case FaultKind.SERVER if changed:
            disconnect_or_reconnect(node, fault, begins)
        case _:
            pass


def longest_delay_ms(node: SimulatedNode, kind: FaultKind) -> int:
    """Return the longest `delay_ms` of the node's active faults of one *kind*; 0 if there are none."""
    return max((fault.delay_ms for fault in node.faults if fault.kind is kind), default=0)


def disconnect_or_reconnect(node: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    now_ms = node.trial.now_ms
    node.server.execute_all(now_ms)
    if begins:
        node.panel.is_disconnected, node.panel.unnoticed_until_ms = True, now_ms + fault.delay_ms
        node.server.change(elevators.disconnect(node.elevator, now_ms), now_ms)
    elif fault.detail and not node.elevator.door:
        place = (node.trial.plan.floors - 1) * fault.detail / 10
        node.server.change(elevators.put(node.elevator, place, now_ms), now_ms)
    node.panel.sweep_soon(now_ms)


def kill_or_start(node: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    if begins and node.state is not None:
        kill_at = fault.point or fault.detail
        if kill_at and not node.process.is_frozen and not node.has(FaultKind.BLACKOUT):
            node.process.kill_at = kill_at
        else:
            node.end_program(is_worker=fault.kind is FaultKind.CRASH)
    if begins or node.has(*STOPS_PROGRAM):
        return
    node.process.kill_at = None
    if fault.kind is FaultKind.WIPE:
        if node.state is not None:
            node.end_program()
        node.trial.emit(DiskWiped(node.number))
        node.disk.wipe()
    if node.state is None:
        node.start()


def resume(node: SimulatedNode) -> None:
    """Resume a frozen program. It completes an interrupted turn, if any, then takes one with all waiting heartbeats.

    The inputs that it read from its panel before the freeze count only if they are still fresh.
    """
    now_ms, process = node.trial.now_ms, node.process
    heartbeats, process.backlog = tuple(process.backlog), []
    node.server.put_back(now_ms)
    node.disturbed_at_ms = now_ms
    node.turn(heartbeats)
    node.panel.sweep_soon(now_ms)
