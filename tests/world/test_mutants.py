"""Mutation tests of the simulated world: its judges must catch each mutant of the node's code within 300 seeds.

A mutant is a change that a careless programmer might make. It replaces a function, a constant, or a few words of a
function. Its name states the wrong behaviour. If a new rule makes a mutant harmless, replace the mutant with one that
breaks the new rule.
"""

import inspect
from collections.abc import Callable, Mapping

import pytest
from attrs import evolve
from reword import reword
from steps import make_calls

from elevator.core import (
    act,
    assignment,
    call_set,
    door,
    drive,
    motion,
    node,
    outgoing,
    peers,
    position,
    replica,
    step,
    turn,
)
from elevator.core.act import Tasks
from elevator.core.drive import Drive
from elevator.core.messages import Record
from elevator.core.model import (
    NEVER_MS,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Confirmed,
    Direction,
    Dot,
    Motor,
    Outputs,
    Policy,
)
from elevator.core.node import Node
from elevator.core.replica import Replica
from elevator.core.travel_times import SEARCH_MS
from elevator.hardware import elevator_server, panel_client
from elevator.simulation import campaign, simulated_node
from elevator.simulation.plans import plan
from elevator.storage import records
from elevator.storage.recorder_client import WRITTEN, RecorderClient

SEEDS = 300
TRY_FIRST = {
    "differing_digests_are_ignored": 200,
    "only_the_first_entries_are_sent_again": 17,
    "lamp_lights_before_the_call_is_durable": 25,
    "dead_peer_never_times_out": 28,
    "starvation_guard_is_disabled": 44,
    "restart_forgets_cab_calls": 7,
    "restart_closes_an_open_door": 6,
    "car_with_a_blocked_door_stays_in_service": 25,
    "every_car_claims_every_hall_call": 35,
    "cab_calls_of_a_duplicate_are_adopted": 49,
    "only_one_of_simultaneous_presses_is_registered": 8,
    "starvation_guard_ignores_unclaimed_calls": 128,
    "record_read_late_is_overwritten": 58,
    "call_at_an_open_door_is_assigned_to_another_car": 10,
    "car_counts_as_stopped_before_confirmation": 67,
    "stale_decision_is_executed": 36,
    "car_with_a_dead_sensor_stays_in_service": 37,
    "car_with_a_dead_sensor_keeps_moving": 27,
    "dwell_time_does_not_restart_after_an_obstruction": 16,
    "duplicate_is_forgotten_at_once": 20,
    "different_number_of_floors_is_not_logged": 50,
    "node_does_not_listen_after_a_stall": 36,
    "record_read_late_is_ignored": 184,
    "restart_from_the_same_record_reuses_the_incarnation": 237,
    "starvation_guard_ignores_down_calls": 44,
    "starvation_guard_does_not_wake_the_node": 44,
    "lamp_waits_for_peers_that_do_not_hear_the_node": 70,
    "failing_disk_keeps_lamps_dark": 79,
    "impossible_floor_is_accepted": 269,
    "search_for_a_floor_starts_upwards": 48,
    "search_for_a_floor_never_reverses": 256,
    "motor_command_is_never_repeated": 16,
    "position_is_trusted_after_a_lost_server": 81,
    "stop_clears_both_directions": 4,
    "idle_step_ignores_new_inputs": 6,
    "change_of_a_peer_does_not_trigger_a_decision": 8,
    "idle_step_ignores_new_calls": 4,
    "only_the_last_heartbeat_of_a_turn_is_processed": 4,
    "changes_wait_for_the_next_periodic_heartbeat": 4,
    "lamp_lights_only_on_the_panel_that_was_pressed": 4,
    "car_out_of_service_is_assigned_calls": 8,
    "door_counts_as_open_before_confirmation": 19,
    "press_read_before_a_stall_is_forgotten": 36,
    "door_closes_when_the_server_reconnects": 6,
    "announced_direction_changes_during_the_dwell_time": 4,
    "indicator_is_frozen_while_the_car_moves": 3,
    "motor_command_is_repeated_in_every_turn": 8,
    "obstruction_holds_a_car_with_a_closed_door": 61,
    "door_closes_while_obstructed": 226,
    "call_is_served_before_the_door_opens": 67,
    "stop_button_does_not_stop_the_car": 5,
    "car_with_its_stop_button_down_stays_in_service": 7,
    "incarnations_with_live_calls_at_peers_are_forgotten": 26,
    "earlier_incarnation_counts_as_a_duplicate": 26,
    "stop_lamp_is_lit_whenever_the_car_is_held": 6,
    "reply_confirms_commands_sent_after_its_sweep": 183,
    "entries_are_never_sent_again": 27,
    "old_incarnations_are_never_forgotten": 184,
    "cab_calls_are_not_adopted_after_a_lost_record": 2,
    "car_between_floors_does_not_search_for_a_floor": 36,
    "motor_fault_is_not_detected": 36,
    "motor_fault_is_not_reported": 165,
    "car_passes_hall_calls_in_its_direction": 226,
    "car_reverses_although_calls_are_ahead": 226,
    "lamp_lights_while_the_node_listens": 36,
    "restart_reuses_the_incarnation": 203,
    "button_down_at_startup_is_ignored": 203,
    "press_is_ignored_while_the_node_listens": 203,
    "merge_drops_a_press": 184,
    "outputs_are_not_rewritten_after_a_reconnect": 203,
}
"""Maps some mutants to a seed with which the judges catch them. The test tries this seed first, to save time."""

Mutation = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, Mutation] = {}


def mutant(mutation: Mutation) -> Mutation:
    MUTANTS[mutation.__name__] = mutation
    return mutation


@mutant
def merge_drops_a_press(patch: pytest.MonkeyPatch) -> None:
    def merge(ours: Calls, theirs: Calls) -> Calls:
        merged = call_set.merge(ours, theirs)
        fresh = sorted(merged.live.keys() - ours.live.keys())
        if len(fresh) < 2:
            return merged
        return make_calls({dot: call for dot, call in merged.live.items() if dot != fresh[0]}, merged.seen)

    patch.setattr(step, "merge", merge)


@mutant
def merge_ignores_version_vectors(patch: pytest.MonkeyPatch) -> None:
    def merge(ours: Calls, theirs: Calls) -> Calls:
        return make_calls({**ours.live, **theirs.live}, {**ours.seen, **theirs.seen})

    patch.setattr(step, "merge", merge)


@mutant
def press_reuses_a_dot(patch: pytest.MonkeyPatch) -> None:
    def press(old: Calls, author: Author, call: Call) -> Calls:
        n = max(old.seen.get(author, 0), 1)
        return make_calls({**old.live, Dot(author, n): call}, {**old.seen, author: n})

    patch.setattr(step, "press", press)


@mutant
def stop_clears_both_directions(patch: pytest.MonkeyPatch) -> None:
    def cleared(floor: int, direction: object, work: Buttons, car: int) -> frozenset[Call]:
        return one_way(floor, Direction.UP, work, car) | one_way(floor, Direction.DOWN, work, car)

    one_way = motion.cleared
    patch.setattr(motion, "cleared", cleared)


@mutant
def lamp_lights_before_the_call_is_durable(patch: pytest.MonkeyPatch) -> None:
    def is_guaranteed(ours: Replica, dot: Dot, acknowledgements: list[Calls]) -> bool:
        return all(call_set.acknowledges(calls, dot) for calls in acknowledgements)

    patch.setattr(replica, "is_guaranteed", is_guaranteed)


@mutant
def lamp_lights_before_peers_acknowledge_the_call(patch: pytest.MonkeyPatch) -> None:
    def is_guaranteed(ours: Replica, dot: Dot, acknowledgements: list[Calls]) -> bool:
        return call_set.acknowledges(ours.recorded, dot)

    patch.setattr(replica, "is_guaranteed", is_guaranteed)


@mutant
def heartbeat_carries_calls_that_are_not_durable(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica, "published", lambda ours: ours.calls)


@mutant
def outputs_are_not_rewritten_after_a_reconnect(patch: pytest.MonkeyPatch) -> None:
    def changes(sent: Outputs | None, wanted: Outputs, floors: int) -> bytes:
        return server_changes(sent or Outputs(lamps=Buttons()), wanted, floors)

    server_changes = elevator_server.changes
    patch.setattr(elevator_server, "changes", changes)


@mutant
def reply_confirms_commands_sent_after_its_sweep(patch: pytest.MonkeyPatch) -> None:
    def confirmation(sent: Outputs | None, before: object = None) -> Confirmed:
        return client_confirmation(sent)

    client_confirmation = panel_client.confirmation
    patch.setattr(panel_client, "confirmation", confirmation)


@mutant
def acknowledgement_covers_later_records(patch: pytest.MonkeyPatch) -> None:
    def receive(client: RecorderClient, message: bytes, now_ms: int) -> None:
        if message[:1] == WRITTEN and client._pending:
            message = WRITTEN + b"%d" % client._pending[-1].number
        client_receive(client, message, now_ms)

    client_receive = RecorderClient.receive
    patch.setattr(RecorderClient, "receive", receive)


@mutant
def starvation_guard_is_disabled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignment, "starves_at_ms", lambda wait, floors: NEVER_MS)


@mutant
def restart_forgets_cab_calls(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, random_bits: int, now_ms: int, policy: Policy) -> Node:
        if record is not None:
            live = {dot: call for dot, call in record.calls.live.items() if call.button is not Button.CAB}
            record = evolve(record, calls=make_calls(live, record.calls.seen))
        return node.boot(id, floors, record, random_bits, now_ms, policy)

    patch.setattr(simulated_node, "boot", boot)


@mutant
def restart_reuses_the_incarnation(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, random_bits: int, now_ms: int, policy: Policy) -> Node:
        return evolve(node.boot(id, floors, record, random_bits, now_ms, policy), me=Author(id, 1))

    patch.setattr(simulated_node, "boot", boot)


@mutant
def restart_closes_an_open_door(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, random_bits: int, now_ms: int, policy: Policy) -> Node:
        return node.boot(id, floors, record and evolve(record, door=None), random_bits, now_ms, policy)

    patch.setattr(simulated_node, "boot", boot)


@mutant
def door_closes_while_obstructed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "obstruct", lambda door, now_ms, obstructed: door)


@mutant
def dwell_time_is_too_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "DOOR_OPEN_MS", 2500)


@mutant
def motor_runs_while_the_door_is_open(patch: pytest.MonkeyPatch) -> None:
    def motor(car: Drive, floors: int) -> Motor:
        return Motor(car.direction) if car.behaviour is Behaviour.DOOR_OPEN else drive_motor(car, floors)

    drive_motor = drive.motor
    patch.setattr(drive, "motor", motor)


@mutant
def motor_fault_is_not_detected(patch: pytest.MonkeyPatch) -> None:
    for module in (drive, act):
        patch.setattr(module, "edge_timeout_ms", lambda car: SEARCH_MS if car.position.floor is None else NEVER_MS)


@mutant
def dead_peer_never_times_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peers, "timeout_ms", lambda loss: 1 << 40)


@mutant
def every_car_claims_every_hall_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignment, "planned", lambda policy, me, floors, hall, members: hall)


@mutant
def cab_calls_of_a_duplicate_are_adopted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node, "is_foreign", lambda node, author: False)


@mutant
def car_without_calls_keeps_its_door_open(patch: pytest.MonkeyPatch) -> None:
    def decide(floor: int, direction: Direction, work: Buttons, departing: bool = False) -> object:
        behaviour, chosen = motion_decide(floor, direction, work, departing)
        return (Behaviour.DOOR_OPEN if behaviour is Behaviour.IDLE and departing else behaviour), chosen

    motion_decide = motion.decide
    patch.setattr(motion, "decide", decide)


@mutant
def car_between_floors_does_not_search_for_a_floor(patch: pytest.MonkeyPatch) -> None:
    def rest(car: Drive, now_ms: int, tasks: Tasks) -> Drive:
        return car if car.position.floor is None else act_rest(car, now_ms, tasks)

    act_rest = act.rest
    patch.setattr(act, "rest", rest)


REPLACEMENTS: Mapping[str, tuple[Callable[..., object], str, str]] = {
    "press_is_ignored_while_the_door_is_open": (
        step.register_presses,
        "inputs.pressed != before:",
        "inputs.pressed != before and node.drive.behaviour is not drive.Behaviour.DOOR_OPEN:",
    ),
    "press_is_ignored_while_the_node_listens": (
        step.register_presses,
        "inputs.pressed != before:",
        "inputs.pressed != before and not is_listening(node):",
    ),
    "only_one_of_simultaneous_presses_is_registered": (
        step.press_all,
        "sorted(calls_of(pressed, node.me.id))",
        "sorted(calls_of(pressed, node.me.id))[:1]",
    ),
    "button_down_at_startup_is_ignored": (
        step.register_presses,
        "if node.inputs is not None else Buttons()",
        "if node.inputs is not None or inputs is None else inputs.pressed",
    ),
    "idle_step_ignores_new_inputs": (
        step.step_idle,
        "tick.inputs is node.inputs and",
        "(tick.inputs is node.inputs or bool(tick.heartbeats)) and",
    ),
    "change_of_a_peer_does_not_trigger_a_decision": (peers.has_same_state, "if was is now:", "if True:"),
    "deadline_does_not_trigger_a_decision": (step.must_decide, " or node.now_ms >= before.quiet_until_ms", ""),
    "idle_step_ignores_new_calls": (
        peers.has_same_content,
        "return is_same and heartbeat.rates in (None, peer.rates) and patch(peer.calls, heartbeat.calls) is peer.calls",
        "return (heartbeat.hears, heartbeat.car, heartbeat.claims) == (last.hears, last.car, last.claims)",
    ),
    "only_the_last_heartbeat_of_a_turn_is_processed": (step.step, "tick.heartbeats,", "tick.heartbeats[-1:],"),
    "changes_wait_for_the_next_periodic_heartbeat": (outgoing.compose, " repeats=REPEATS,", ""),
    "lamp_lights_only_on_the_panel_that_was_pressed": (
        step.update_lamps,
        "replica.light(ours, visible,",
        "replica.light(ours, evolve(visible, entries={a: e for a, e in visible.entries.items() if a == node.me}),",
    ),
    "lamp_never_goes_dark": (replica.darken, "if not buttons(replica.lit) - panel:", "if True:"),
    "node_does_not_listen_at_startup": (node.boot, "now_ms + LISTEN_MS", "now_ms"),
    "incarnations_with_live_calls_at_peers_are_forgotten": (
        step.prune,
        "any(peer.heartbeat.digest != published.digest for peer in in_reach(node).values())",
        "False",
    ),
    "car_out_of_service_is_assigned_calls": (peers.in_service, " if peer.heartbeat.car.fault is Fault.NONE}", "}"),
    "starvation_guard_ignores_unclaimed_calls": (
        assignment.starves_at_ms,
        "wait.unclaimed_since_ms + UNCLAIMED_MS",
        "NEVER_MS",
    ),
    "call_at_an_open_door_is_assigned_to_another_car": (
        assignment.assign,
        "served = served_by_open_doors(members)",
        "served = dict.fromkeys(members, Buttons())",
    ),
    "door_counts_as_open_before_confirmation": (
        door.confirm,
        "phase is Phase.OPENING and is_open",
        "phase is Phase.OPENING",
    ),
    "call_is_served_before_the_door_opens": (
        door.stop,
        "Phase.OPENING if is_standing else Phase.STOPPING",
        "Phase.OPEN",
    ),
    "car_counts_as_stopped_before_confirmation": (
        drive.sense,
        "is_stopped and car.position.at_floor",
        "car.position.at_floor",
    ),
    "stale_decision_is_executed": (
        turn.turn,
        "inputs is not tick.inputs or now_ms >= tick.now_ms + STALL_MS",
        "False",
    ),
    "press_read_before_a_stall_is_forgotten": (step.skip_stale, "register_presses(node, tick.inputs)", "node"),
    "car_with_a_blocked_door_stays_in_service": (drive.diagnose, "if now_ms >= blocked_at_ms:", "if False:"),
    "car_with_a_dead_sensor_stays_in_service": (drive.diagnose, " or car.position.is_dead", ""),
    "car_with_a_dead_sensor_keeps_moving": (drive.sense, " or car.position.is_dead", ""),
    "door_closes_when_the_server_reconnects": (door.command, "return None", "return False"),
    "motor_fault_is_not_reported": (act.travel, "fault=Fault.MOTOR, ", ""),
    "dwell_time_does_not_restart_after_an_obstruction": (
        door.obstruct,
        "door.close_at_ms if obstructed else now_ms + DOOR_OPEN_MS",
        "door.close_at_ms",
    ),
    "announced_direction_changes_during_the_dwell_time": (act.serve, "if not car.door.announced and not", "if not"),
    "car_reverses_although_calls_are_ahead": (
        motion.decide,
        "if has_work_beyond(floor, direction, work):",
        "if has_work_beyond(floor, direction, work) and not has_work_beyond(floor, back, work):",
    ),
    "car_passes_hall_calls_in_its_direction": (
        motion.decide,
        "or is_at(hall(direction, work), floor)",
        "or (is_at(hall(direction, work), floor) and not has_work_beyond(floor, direction, work))",
    ),
    "indicator_is_frozen_while_the_car_moves": (
        node.outputs,
        "floor=car.position.floor,",
        "floor=None if car.behaviour is drive.Behaviour.MOVING else car.position.floor,",
    ),
    "duplicate_is_forgotten_at_once": (
        peers.recent_other,
        "now_ms < other.forget_at_ms",
        "now_ms == other.heard_at_ms",
    ),
    "cab_calls_are_not_adopted_after_a_lost_record": (node.shown, "if not hears_own_id(node):", "if False:"),
    "earlier_incarnation_counts_as_a_duplicate": (
        node.is_foreign,
        "or not last - INCARNATIONS_OWN < author.incarnation <= last",
        "or True",
    ),
    "different_number_of_floors_is_not_logged": (
        step.receive,
        'warn(node, f"ignoring node {sender.id}: it has {heartbeat.floors} floors, this node has {node.floors}")',
        "node",
    ),
    "node_does_not_listen_after_a_stall": (step.start_step, ", listen_until_ms=now_ms + LISTEN_MS", ""),
    "lamp_lights_while_the_node_listens": (step.update_lamps, "if not is_listening(node) and panel", "if panel"),
    "record_read_late_is_overwritten": (
        records.complete,
        "if all(acknowledges(record.calls, dot) for dot in found.calls.live):",
        "if True:",
    ),
    "record_read_late_is_ignored": (
        step.start_step,
        "merge(ours.calls, tick.found.calls)",
        "ours.calls",
    ),
    "restart_from_the_same_record_reuses_the_incarnation": (node.boot, " + random_bits % INCARNATION_STEP", ""),
    "old_incarnations_are_never_forgotten": (step.prune, "if not expired or", "if True or"),
    "starvation_guard_ignores_down_calls": (
        assignment.wait,
        "old or Wait(now_ms, NEVER_MS)",
        "(old if call.button is Button.UP else None) or Wait(now_ms, NEVER_MS)",
    ),
    "starvation_guard_does_not_wake_the_node": (
        assignment.assign,
        "waited_at_ms, due_at_ms, now_ms",
        "waited_at_ms, NEVER_MS, now_ms",
    ),
    "lamp_waits_for_peers_that_do_not_hear_the_node": (
        step.update_lamps,
        "in_reach(node)",
        "peers.alive(node.peers, node.now_ms)",
    ),
    "failing_disk_keeps_lamps_dark": (
        replica.is_guaranteed,
        " or (replica.disk_failed and bool(acknowledgements))",
        "",
    ),
    "every_digest_acknowledges_all_calls": (
        step.match_digests,
        "equal.get(peer.heartbeat.digest, peer.calls)",
        "node.calls",
    ),
    "digest_covers_calls_that_are_not_durable": (step.step, "calls.digest", "node.calls.digest"),
    "differing_digests_are_ignored": (
        node.heartbeat,
        "min((peer.agreed_at_ms for peer in live if peer.heartbeat.digest != digest), default=None)",
        "None",
    ),
    "entries_are_never_sent_again": (outgoing.heartbeat, "-NEVER_MS if is_refresh else since_ms", "None"),
    "only_the_first_entries_are_sent_again": (outgoing.in_turn, "(first + k) % len(entries)", "k"),
    "impossible_floor_is_accepted": (position.judge, "not old.trusted or follows(old, report, heading)", "True"),
    "search_for_a_floor_starts_upwards": (
        act.rest,
        "start(car, now_ms, car.direction)",
        "start(car, now_ms, Direction.UP)",
    ),
    "search_for_a_floor_never_reverses": (act.travel, "car.direction.opposite", "car.direction"),
    "motor_command_is_repeated_in_every_turn": (act.travel, "now_ms + RETRY_MS", "now_ms + 1"),
    "motor_command_is_never_repeated": (act.travel, "motor_try=car.motor_try + 1", "motor_try=car.motor_try"),
    "position_is_trusted_after_a_lost_server": (
        drive.lose_panel,
        "position=position.distrust(car.position),",
        "",
    ),
    "stop_lamp_is_lit_whenever_the_car_is_held": (
        node.outputs,
        "node.inputs is not None and node.inputs.stop",
        "car.held",
    ),
    "stop_button_does_not_stop_the_car": (drive.sense, "held=inputs.stop or ", "held="),
    "car_with_its_stop_button_down_stays_in_service": (drive.diagnose, "if is_stop_pressed:", "if False:"),
    "obstruction_holds_a_car_with_a_closed_door": (
        drive.sense,
        "held=inputs.stop or ",
        "held=inputs.stop or (inputs.obstructed and not inputs.confirmed.door_open) or ",
    ),
}
"""More mutants. Each maps to a function, the words to replace in the function's source, and their replacement."""


BREAKS: Mapping[str, str] = {
    "G1": (
        "merge_drops_a_press press_reuses_a_dot restart_forgets_cab_calls restart_reuses_the_incarnation "
        "incarnations_with_live_calls_at_peers_are_forgotten record_read_late_is_overwritten "
        "record_read_late_is_ignored cab_calls_are_not_adopted_after_a_lost_record "
        "restart_from_the_same_record_reuses_the_incarnation"
    ),
    "G3": (
        "dead_peer_never_times_out only_the_last_heartbeat_of_a_turn_is_processed motor_fault_is_not_detected "
        "motor_fault_is_not_reported car_with_a_blocked_door_stays_in_service car_out_of_service_is_assigned_calls "
        "change_of_a_peer_does_not_trigger_a_decision"
    ),
    "G4": "merge_drops_a_press",
    "G5": (
        "lamp_lights_only_on_the_panel_that_was_pressed differing_digests_are_ignored "
        "entries_are_never_sent_again only_the_first_entries_are_sent_again"
    ),
    "G6": "merge_ignores_version_vectors",
    "G7": "old_incarnations_are_never_forgotten",
    "L1": "lamp_lights_only_on_the_panel_that_was_pressed idle_step_ignores_new_calls",
    "L2": "cab_calls_of_a_duplicate_are_adopted",
    "L3": (
        "lamp_lights_before_the_call_is_durable lamp_lights_before_peers_acknowledge_the_call "
        "heartbeat_carries_calls_that_are_not_durable changes_wait_for_the_next_periodic_heartbeat "
        "lamp_lights_while_the_node_listens lamp_waits_for_peers_that_do_not_hear_the_node "
        "failing_disk_keeps_lamps_dark acknowledgement_covers_later_records every_digest_acknowledges_all_calls "
        "digest_covers_calls_that_are_not_durable"
    ),
    "L4": "merge_ignores_version_vectors lamp_never_goes_dark earlier_incarnation_counts_as_a_duplicate",
    "L5": (
        "press_is_ignored_while_the_door_is_open press_is_ignored_while_the_node_listens "
        "only_one_of_simultaneous_presses_is_registered button_down_at_startup_is_ignored "
        "idle_step_ignores_new_inputs press_read_before_a_stall_is_forgotten"
    ),
    "L6": "indicator_is_frozen_while_the_car_moves stop_lamp_is_lit_whenever_the_car_is_held",
    "D1": (
        "dwell_time_is_too_short motor_runs_while_the_door_is_open car_counts_as_stopped_before_confirmation "
        "deadline_does_not_trigger_a_decision"
    ),
    "D2": "door_closes_while_obstructed dwell_time_does_not_restart_after_an_obstruction",
    "D3": "obstruction_holds_a_car_with_a_closed_door",
    "D4": "restart_closes_an_open_door door_closes_when_the_server_reconnects",
    "C1": (
        "car_without_calls_keeps_its_door_open car_reverses_although_calls_are_ahead "
        "car_passes_hall_calls_in_its_direction"
    ),
    "C2": "stop_clears_both_directions",
    "C3": "announced_direction_changes_during_the_dwell_time",
    "C4": (
        "car_between_floors_does_not_search_for_a_floor search_for_a_floor_starts_upwards "
        "search_for_a_floor_never_reverses"
    ),
    "C5": "car_with_a_dead_sensor_stays_in_service car_with_a_dead_sensor_keeps_moving impossible_floor_is_accepted",
    "C7": "stop_button_does_not_stop_the_car car_with_its_stop_button_down_stays_in_service",
    "C8": (
        "motor_fault_is_not_detected motor_fault_is_not_reported motor_command_is_repeated_in_every_turn "
        "motor_command_is_never_repeated"
    ),
    "C9": (
        "door_counts_as_open_before_confirmation call_is_served_before_the_door_opens "
        "reply_confirms_commands_sent_after_its_sweep"
    ),
    "C10": "node_does_not_listen_at_startup node_does_not_listen_after_a_stall stale_decision_is_executed",
    "C11": "outputs_are_not_rewritten_after_a_reconnect position_is_trusted_after_a_lost_server",
    "A1": "every_car_claims_every_hall_call call_at_an_open_door_is_assigned_to_another_car",
    "A2": (
        "starvation_guard_is_disabled starvation_guard_ignores_unclaimed_calls "
        "starvation_guard_ignores_down_calls starvation_guard_does_not_wake_the_node"
    ),
    "A3": (
        "cab_calls_of_a_duplicate_are_adopted duplicate_is_forgotten_at_once different_number_of_floors_is_not_logged"
    ),
}
"""The mutants that break each rule of elevator/specification.md."""


def test_each_mutant_is_listed_under_a_rule() -> None:
    assert {name for names in BREAKS.values() for name in names.split()} == {*MUTANTS, *REPLACEMENTS}


def test_words_that_a_mutant_replaces_occur_once() -> None:
    sources = {name: (inspect.getsource(function), words) for name, (function, words, _) in REPLACEMENTS.items()}
    assert [name for name, (source, words) in sources.items() if source.count(words) != 1] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MUTANTS, *REPLACEMENTS])
def test_judges_catch_each_mutant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in REPLACEMENTS:
        reword(monkeypatch, *REPLACEMENTS[name])
    else:
        MUTANTS[name](monkeypatch)
    first = TRY_FIRST.get(name, 1)
    for seed in (*range(first, SEEDS + 1), *range(1, first)):
        done = campaign.run_plan(plan(seed))[0]
        if done.violation and not done.crashed:  # A crash is found without a judge, so it does not count.
            print(f"{name}: seed {seed}: {done.violation}")
            return
    pytest.fail(f"the judges did not catch {name} with any of {SEEDS} seeds")
