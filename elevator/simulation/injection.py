"""Lets faults begin and end at one simulated node."""

from attrs import evolve

from elevator.building import elevator as machines
from elevator.simulation.events import DiskWiped, ProgramResumed
from elevator.simulation.faults import KILLS, FaultKind, InjectedFault
from elevator.simulation.links import with_or_without
from elevator.simulation.simulated_node import UNSTEADY, SimulatedNode

DOWN = frozenset((*KILLS, FaultKind.BLACKOUT))


def apply(host: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    """Let *fault* begin or end here; faults of one kind may overlap."""
    kind, now_ms, server = fault.kind, host.world.now_ms, host.server
    count = host.off.pop(kind, 0) + (1 if begins else -1)
    if count:
        host.off[kind] = count
    if kind in UNSTEADY:
        host.upset_ms = now_ms
    changed = count == (1 if begins else 0)
    if host.process.stands_still:  # What its car has done up to this moment it has done alone.
        server.settle(now_ms)
    host.process.stands_still = host.has(FaultKind.FREEZE)
    host.disk.is_broken = host.has(FaultKind.DISK)
    host.panel.is_gone = host.has(FaultKind.SERVER)
    match kind:
        case FaultKind.KILL | FaultKind.WIPE | FaultKind.CRASH | FaultKind.BLACKOUT:
            kill_or_start(host, fault, begins)
        case FaultKind.FREEZE if changed and begins:
            host.panel.catch_up(now_ms)
            host.process.stopped_ms = now_ms
        case FaultKind.FREEZE if changed:
            thaw(host)
        case FaultKind.SLOW:
            host.disk.slowness = with_or_without(host.disk.slowness, fault, begins)
            host.disk.hasten(now_ms)
        case FaultKind.RECORDER if begins and host.node is not None:
            host.note_stored(host.disk.lose_recorder())
            host.disk.due_ms = now_ms
        case FaultKind.MOTOR if changed:
            server.change(machines.power(host.machine, not begins, now_ms), now_ms)
            if fault.detail and not begins:
                server.change(machines.disconnect(host.machine, now_ms), now_ms)
        case FaultKind.OBSTRUCT if changed:
            server.change(evolve(host.machine, obstructed=begins), now_ms)
        case FaultKind.GLITCH if changed:
            host.panel.sweep_soon(now_ms)
        case FaultKind.SENSOR if changed:
            server.put_back(now_ms)
            host.panel.sweep_soon(now_ms)
        case FaultKind.STOP if changed:
            server.change(evolve(host.machine, stop=begins), now_ms)
        case FaultKind.LAG:
            server.lags = with_or_without(server.lags, fault, begins)
            if not server.lags:
                server.requests_ms = server.reply_ms = host.panel.sweep_ms = now_ms
        case FaultKind.SERVER if changed:
            hang_up_or_return(host, fault, begins)
        case _:
            pass


def hang_up_or_return(host: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    now_ms = host.world.now_ms
    host.server.handle_all(now_ms)
    if begins:
        host.panel.hang_up(now_ms, fault.delay_ms)
        host.server.change(machines.disconnect(host.machine, now_ms), now_ms)
    elif fault.detail and not host.machine.door:
        place = (host.world.plan.floors - 1) * fault.detail / 10
        host.server.change(machines.put(host.machine, place, now_ms), now_ms)
    host.panel.sweep_soon(now_ms)


def kill_or_start(host: SimulatedNode, fault: InjectedFault, begins: bool) -> None:
    if begins and host.node is not None:
        doom = fault.point or fault.detail
        if doom and not host.process.stands_still and not host.has(FaultKind.BLACKOUT):
            host.process.doom = doom
        else:
            host.die(is_worker=fault.kind is FaultKind.CRASH)
            host.world.take_over(host.id)
    if begins or host.has_any(DOWN):
        return
    host.process.doom = None
    if fault.kind is FaultKind.WIPE:
        if host.node is not None:
            host.die()
        host.world.stream.emit(DiskWiped(host.id))
        host.disk.wipe()
    if host.node is None:
        host.start()


def thaw(host: SimulatedNode) -> None:
    """Let a frozen program go on: it finds everything that came meanwhile, and its panel's old answer."""
    world, process = host.world, host.process
    heartbeats, process.backlog = tuple(process.backlog), []
    host.server.put_back(world.now_ms)
    host.upset_ms = world.now_ms
    world.stream.emit(ProgramResumed(host.id, process.stopped_ms))
    host.turn(heartbeats)
    host.panel.sweep_soon(world.now_ms)
