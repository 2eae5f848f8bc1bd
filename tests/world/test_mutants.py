"""The world can fail: each of these mistakes in the core is caught by some of the first 300 seeds, nearly all by 200.

A mutant replaces one function, or a few words in one, as a careless change would. Should a new rule of the core make
one of them harmless, it belongs here with a mutant that is not.
"""

from collections.abc import Callable, Mapping

import pytest
from attrs import evolve
from reword import reword

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
from elevator.core.act import Surroundings
from elevator.core.drive import Drive
from elevator.core.model import (
    NEVER_MS,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Direction,
    Dot,
    Motor,
    Outputs,
    Policy,
    Record,
)
from elevator.core.node import Node
from elevator.core.replica import Replica
from elevator.core.travel_times import SEARCH_MS
from elevator.hardware import elevator_server, panel_client
from elevator.hardware.panel_client import Confirmed
from elevator.simulation import campaign, simulated_node
from elevator.simulation.plans import plan
from elevator.storage import records
from elevator.storage.recorder_client import WRITTEN, RecorderClient

SEEDS = 300
TRY_FIRST = {
    "a_lamp_lights_before_the_record": 25,
    "a_dead_peer_is_waited_for_for_ever": 28,
    "no_guard_against_starvation": 18,
    "a_cab_call_is_forgotten_on_restart": 7,
    "a_new_run_shuts_the_door_of_the_old_one": 6,
    "a_blocked_car_keeps_its_calls": 25,
    "every_car_takes_every_call": 13,
    "a_twin_is_taken_for_oneself": 49,
    "of_two_buttons_pressed_at_once_one_is_noted": 8,
    "a_call_that_nobody_takes_is_left_alone": 18,
    "a_record_that_is_read_late_is_overwritten": 58,
    "a_call_is_left_to_an_open_door_for_ever": 159,
    "a_call_is_not_left_to_an_open_door": 10,
    "a_car_is_thought_to_stand_when_told_to": 13,
    "what_was_decided_long_ago_is_done": 36,
    "a_car_whose_sensor_is_dead_keeps_its_calls": 37,
    "a_car_whose_sensor_is_dead_runs_on": 27,
    "an_obstruction_does_not_renew_the_period": 31,
    "pressing_on_holds_a_car_for_ever": 122,
    "another_with_its_id_is_forgotten_at_once": 20,
    "nobody_says_that_a_node_has_other_floors": 50,
    "a_thawed_program_acts_at_once": 36,
    "a_record_that_is_read_late_is_ignored": 184,
    "a_new_run_takes_the_name_of_one_that_left_no_record": 205,
    "the_guard_against_starvation_knows_one_direction": 44,
    "the_guard_does_not_wake_the_node": 44,
    "a_lamp_waits_for_those_who_do_not_hear_its_node": 70,
    "a_failing_disk_keeps_lamps_dark": 79,
    "an_impossible_floor_is_believed": 21,
    "a_lost_car_looks_above_first": 48,
    "a_lost_car_looks_below_for_ever": 256,
    "a_motor_is_not_told_again": 16,
    "a_car_is_thought_to_be_where_it_was_when_its_server_went": 81,
    "a_service_serves_both_directions": 4,
    "a_quick_turn_leaves_out_what_the_panel_says": 6,
    "an_unable_peer_does_not_make_a_car_think_again": 8,
    "a_quick_turn_leaves_out_new_calls": 4,
    "of_several_heartbeats_one_is_heard": 4,
    "news_waits_for_the_next_heartbeat": 4,
    "a_call_lights_only_where_it_was_pressed": 4,
    "an_unable_car_is_given_calls": 8,
    "a_door_is_thought_to_be_open_when_told_to": 21,
    "a_press_that_was_read_long_ago_is_forgotten": 36,
    "a_door_shuts_as_its_server_comes_back": 6,
    "the_announced_direction_changes_at_once": 4,
    "the_indicator_shows_where_a_car_last_stood": 3,
    "a_motor_is_told_again_at_every_turn": 8,
    "an_obstruction_holds_a_car_with_a_closed_door": 61,
    "the_door_closes_on_an_obstruction": 14,
    "a_call_is_served_as_soon_as_the_car_stops": 13,
    "a_car_whose_stop_button_is_down_runs_on": 5,
    "a_car_whose_stop_button_is_down_keeps_its_calls": 7,
}
"""The seed that caught a mutant last, where it is not one of the first few: this saves time, nothing else."""

Mutation = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, Mutation] = {}


def mutant(mutation: Mutation) -> Mutation:
    MUTANTS[mutation.__name__] = mutation
    return mutation


@mutant
def merge_drops_a_dot(patch: pytest.MonkeyPatch) -> None:
    def merge(ours: Calls, theirs: Calls) -> Calls:
        merged = call_set.merge(ours, theirs)
        fresh = sorted(merged.live.keys() - ours.live.keys())
        if len(fresh) < 2:
            return merged
        return Calls({dot: call for dot, call in merged.live.items() if dot != fresh[0]}, merged.seen)

    patch.setattr(step, "merge", merge)


@mutant
def merge_forgets_who_has_seen(patch: pytest.MonkeyPatch) -> None:
    def merge(ours: Calls, theirs: Calls) -> Calls:
        return Calls({**ours.live, **theirs.live}, {**ours.seen, **theirs.seen})

    patch.setattr(step, "merge", merge)


@mutant
def a_press_uses_its_dot_again(patch: pytest.MonkeyPatch) -> None:
    def press(old: Calls, author: Author, call: Call) -> Calls:
        n = max(old.seen.get(author, 0), 1)
        return Calls({**old.live, Dot(author, n): call}, {**old.seen, author: n})

    patch.setattr(step, "press", press)


@mutant
def a_service_serves_both_directions(patch: pytest.MonkeyPatch) -> None:
    def cleared(floor: int, direction: object, work: Buttons, car: int) -> frozenset[Call]:
        return one_way(floor, Direction.UP, work, car) | one_way(floor, Direction.DOWN, work, car)

    one_way = motion.cleared
    patch.setattr(motion, "cleared", cleared)


@mutant
def a_lamp_lights_before_the_record(patch: pytest.MonkeyPatch) -> None:
    def is_promised(ours: Replica, dot: Dot, witnesses: list[Mapping[Author, int]]) -> bool:
        return all(call_set.covers(seen, dot) for seen in witnesses)

    patch.setattr(replica, "is_promised", is_promised)


@mutant
def a_lamp_lights_before_the_others_know(patch: pytest.MonkeyPatch) -> None:
    def is_promised(ours: Replica, dot: Dot, witnesses: list[Mapping[Author, int]]) -> bool:
        return call_set.covers(ours.recorded.seen, dot)

    patch.setattr(replica, "is_promised", is_promised)


@mutant
def what_is_told_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica, "durable", lambda ours: ours.calls)


@mutant
def nothing_is_repeated_after_a_reconnect(patch: pytest.MonkeyPatch) -> None:
    def changes(sent: Outputs | None, wanted: Outputs, floors: int) -> bytes:
        return server_changes(sent or Outputs(lamps=Buttons()), wanted, floors)

    server_changes = elevator_server.changes
    patch.setattr(elevator_server, "changes", changes)


@mutant
def a_reply_confirms_what_was_sent_after_its_sweep(patch: pytest.MonkeyPatch) -> None:
    def done(sent: Outputs | None, before: object = None) -> Confirmed:
        return client_done(sent)

    client_done = panel_client.done
    patch.setattr(panel_client, "done", done)


@mutant
def an_acknowledgement_covers_records_after_it(patch: pytest.MonkeyPatch) -> None:
    def receive(client: RecorderClient, message: bytes, now_ms: int) -> None:
        if message[:1] == WRITTEN and client._pending:
            message = WRITTEN + b"%d" % client._pending[-1].number
        client_receive(client, message, now_ms)

    client_receive = RecorderClient.receive
    patch.setattr(RecorderClient, "receive", receive)


@mutant
def no_guard_against_starvation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignment, "starves_at_ms", lambda wait, floors: NEVER_MS)


@mutant
def a_cab_call_is_forgotten_on_restart(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, lot: int, now_ms: int, policy: Policy) -> Node:
        if record is not None:
            live = {dot: call for dot, call in record.calls.live.items() if call.button is not Button.CAB}
            record = evolve(record, calls=Calls(live, record.calls.seen))
        return node.boot(id, floors, record, lot, now_ms, policy)

    patch.setattr(simulated_node, "boot", boot)


@mutant
def a_restarted_node_uses_its_old_name_again(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, lot: int, now_ms: int, policy: Policy) -> Node:
        return evolve(node.boot(id, floors, record, lot, now_ms, policy), me=Author(id, 1))

    patch.setattr(simulated_node, "boot", boot)


@mutant
def a_new_run_shuts_the_door_of_the_old_one(patch: pytest.MonkeyPatch) -> None:
    def boot(id: int, floors: int, record: Record | None, lot: int, now_ms: int, policy: Policy) -> Node:
        return node.boot(id, floors, record and evolve(record, door=None), lot, now_ms, policy)

    patch.setattr(simulated_node, "boot", boot)


@mutant
def the_door_closes_on_an_obstruction(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "obstruct", lambda door, now_ms, obstructed: door)


@mutant
def the_door_closes_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "DOOR_OPEN_MS", 2500)


@mutant
def the_door_opens_while_the_car_moves(patch: pytest.MonkeyPatch) -> None:
    def motor(car: Drive, floors: int) -> Motor:
        return Motor(car.direction) if car.behaviour is Behaviour.DOOR_OPEN else drive_motor(car, floors)

    drive_motor = drive.motor
    patch.setattr(drive, "motor", motor)


@mutant
def a_stuck_motor_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    for module in (drive, act):
        patch.setattr(module, "patience_ms", lambda car: SEARCH_MS if car.position.floor is None else NEVER_MS)


@mutant
def a_dead_peer_is_waited_for_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peers, "silence_ms", lambda loss: 1 << 40)


@mutant
def every_car_takes_every_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignment, "planned", lambda policy, me, floors, hall, members: hall)


@mutant
def a_twin_is_taken_for_oneself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node, "is_foreign", lambda node, author: False)


@mutant
def a_car_opens_at_every_floor(patch: pytest.MonkeyPatch) -> None:
    def decide(floor: int, direction: Direction, work: Buttons, departing: bool = False) -> object:
        behaviour, chosen = motion_decide(floor, direction, work, departing)
        return (Behaviour.DOOR_OPEN if behaviour is Behaviour.IDLE and departing else behaviour), chosen

    motion_decide = motion.decide
    patch.setattr(motion, "decide", decide)


@mutant
def a_floor_is_never_searched_for(patch: pytest.MonkeyPatch) -> None:
    def rest(car: Drive, now_ms: int, around: Surroundings) -> Drive:
        return car if car.position.floor is None else act_rest(car, now_ms, around)

    act_rest = act.rest
    patch.setattr(act, "rest", rest)


WORDS: Mapping[str, tuple[Callable[..., object], str, str]] = {
    "a_press_is_missed_while_the_door_is_open": (
        step.take_presses,
        "inputs.pressed != before:",
        "inputs.pressed != before and node.drive.behaviour is not drive.Behaviour.DOOR_OPEN:",
    ),
    "a_press_is_missed_while_a_new_program_listens": (
        step.take_presses,
        "inputs.pressed != before:",
        "inputs.pressed != before and not is_listening(node):",
    ),
    "of_two_buttons_pressed_at_once_one_is_noted": (
        step.press_all,
        "sorted(calls_of(pressed, node.me.id))",
        "sorted(calls_of(pressed, node.me.id))[:1]",
    ),
    "a_button_that_is_down_at_the_start_is_not_pressed": (
        step.take_presses,
        "if node.inputs is not None else Buttons()",
        "if node.inputs is not None or inputs is None else inputs.pressed",
    ),
    "a_quick_turn_leaves_out_what_the_panel_says": (
        step.step_idle,
        "tick.inputs is node.inputs and",
        "(tick.inputs is node.inputs or bool(tick.heartbeats)) and",
    ),
    "an_unable_peer_does_not_make_a_car_think_again": (peers.stands_as_before, "was is now or", "True or"),
    "a_car_does_not_think_again_when_it_is_time": (step.must_decide, " or node.now_ms >= before.quiet_until_ms", ""),
    "a_quick_turn_leaves_out_new_calls": (peers.says_the_same, "heartbeat.calls is peer.calls and", ""),
    "of_several_heartbeats_one_is_heard": (step.step, "in tick.heartbeats:", "in tick.heartbeats[-1:]:"),
    "news_waits_for_the_next_heartbeat": (outgoing.compose, " repeats=REPEATS,", ""),
    "a_call_lights_only_where_it_was_pressed": (
        step.light,
        "replica.light(ours, its,",
        "replica.light(ours, {dot: call for dot, call in its.items() if dot.author == node.me},",
    ),
    "a_lamp_stays_lit_for_ever": (replica.darken, "replica.lit.intersection(shown.values())", "replica.lit"),
    "a_new_program_does_not_listen_first": (node.boot, "now_ms + LISTEN_MS", "now_ms"),
    "calls_of_former_runs_are_forgotten": (
        step.prune,
        "needed |= {dot.author for calls in holders for dot in calls.live}",
        "pass",
    ),
    "an_unable_car_is_given_calls": (peers.able, " if peer.said.car.fault is Fault.NONE}", "}"),
    "a_call_that_nobody_takes_is_left_alone": (
        assignment.starves_at_ms,
        "wait.unclaimed_since_ms + UNCLAIMED_MS",
        "NEVER_MS",
    ),
    "a_call_is_left_to_an_open_door_for_ever": (
        assignment.on_the_spot,
        "not car.announced and not motion",
        "not motion",
    ),
    "a_call_is_not_left_to_an_open_door": (
        assignment.assign,
        "served = on_the_spot(members)",
        "served = dict.fromkeys(members, Buttons())",
    ),
    "a_door_is_thought_to_be_open_when_told_to": (
        door.confirm,
        "phase is Phase.OPENING and is_open",
        "phase is Phase.OPENING",
    ),
    "a_call_is_served_as_soon_as_the_car_stops": (
        door.stop,
        "Phase.OPENING if is_standing else Phase.STOPPING",
        "Phase.OPEN",
    ),
    "a_car_is_thought_to_stand_when_told_to": (
        drive.sense,
        "is_stopped and car.position.at_floor",
        "car.position.at_floor",
    ),
    "what_was_decided_long_ago_is_done": (turn.turn, "inputs is not tick.inputs", "False"),
    "a_press_that_was_read_long_ago_is_forgotten": (step.skip_stale, "take_presses(node, tick.inputs)", "node"),
    "a_blocked_car_keeps_its_calls": (drive.diagnose, "if now_ms >= blocked_at_ms:", "if False:"),
    "a_car_whose_sensor_is_dead_keeps_its_calls": (drive.diagnose, " or car.position.is_dead", ""),
    "a_car_whose_sensor_is_dead_runs_on": (drive.sense, " or car.position.is_dead", ""),
    "a_door_shuts_as_its_server_comes_back": (door.command, "return None", "return False"),
    "a_dead_motor_is_kept_secret": (act.travel, "fault=Fault.MOTOR, ", ""),
    "an_obstruction_does_not_renew_the_period": (
        door.obstruct,
        "door.close_at_ms if obstructed else now_ms + DOOR_OPEN_MS",
        "door.close_at_ms",
    ),
    "the_announced_direction_changes_at_once": (act.serve, "if not car.door.announced and not", "if not"),
    "pressing_on_holds_a_car_for_ever": (act.serve, "now_ms >= car.door.opened_at_ms + DOOR_EXTENSION_MS", "False"),
    "a_car_turns_though_calls_are_ahead": (
        motion.decide,
        "if has_work_beyond(floor, direction, work):",
        "if has_work_beyond(floor, direction, work) and not has_work_beyond(floor, back, work):",
    ),
    "a_car_passes_those_who_go_its_way": (
        motion.decide,
        "or is_at(hall(direction, work), floor)",
        "or (is_at(hall(direction, work), floor) and not has_work_beyond(floor, direction, work))",
    ),
    "the_indicator_shows_where_a_car_last_stood": (
        node.outputs,
        "floor=car.position.floor,",
        "floor=None if car.behaviour is drive.Behaviour.MOVING else car.position.floor,",
    ),
    "another_with_its_id_is_forgotten_at_once": (
        peers.duplicate,
        "now_ms < other.forget_at_ms",
        "now_ms == other.heard_at_ms",
    ),
    "a_node_whose_record_is_lost_leaves_its_cab_calls_alone": (node.shown, "is_contested and ", ""),
    "a_former_run_is_taken_for_another_node": (
        node.is_foreign,
        "or not last - INCARNATIONS_OWN < author.incarnation <= last",
        "or True",
    ),
    "nobody_says_that_a_node_has_other_floors": (
        step.hear,
        'count(node, f"node {sender.id} has {heartbeat.floors} floors, this one {node.floors}: ignored")',
        "node",
    ),
    "a_thawed_program_acts_at_once": (step.take_time, ", listen_until_ms=now_ms + LISTEN_MS", ""),
    "a_new_program_promises_before_it_has_listened": (step.light, "if not is_listening(node) and len", "if len"),
    "a_record_that_is_read_late_is_overwritten": (
        records.complete,
        "if all(covers(record.calls.seen, dot) for dot in found.calls.live):",
        "if True:",
    ),
    "a_record_that_is_read_late_is_ignored": (
        step.take_time,
        "merge(ours.calls, tick.found.calls)",
        "ours.calls",
    ),
    "a_new_run_takes_the_name_of_one_that_left_no_record": (node.boot, " + lot % INCARNATION_STEP", ""),
    "former_runs_are_never_forgotten": (step.prune, "if not excess:", "if True:"),
    "the_guard_against_starvation_knows_one_direction": (
        assignment.wait,
        "now_ms < starves_at_ms(new, floors)",
        "call.button is Button.DOWN or now_ms < starves_at_ms(new, floors)",
    ),
    "the_guard_does_not_wake_the_node": (assignment.assign, "waits, due_at_ms)", "waits, NEVER_MS)"),
    "a_lamp_waits_for_those_who_do_not_hear_its_node": (
        step.light,
        "in_reach(node)",
        "peers.alive(node.peers, node.now_ms)",
    ),
    "a_failing_disk_keeps_lamps_dark": (replica.is_promised, " or (replica.disk_failed and bool(witnesses))", ""),
    "what_a_peer_has_forgotten_is_remembered_of_it": (peers.hear, "parts == (1 << heartbeat.parts) - 1", "False"),
    "an_impossible_floor_is_believed": (position.judge, "not old.trusted or follows(old, report, heading)", "True"),
    "a_lost_car_looks_above_first": (act.rest, "Direction.DOWN", "Direction.UP"),
    "a_lost_car_looks_below_for_ever": (act.travel, "car.direction.opposite", "car.direction"),
    "a_motor_is_told_again_at_every_turn": (act.travel, "now_ms + RETRY_MS", "RETRY_MS"),
    "a_motor_is_not_told_again": (act.travel, "motor_try=car.motor_try + 1", "motor_try=car.motor_try"),
    "a_car_is_thought_to_be_where_it_was_when_its_server_went": (
        drive.lose_panel,
        "position=position.mistrust(car.position),",
        "",
    ),
    "the_stop_lamp_is_lit_whenever_a_car_is_held": (
        node.outputs,
        "node.inputs is not None and node.inputs.stop",
        "car.held",
    ),
    "a_car_whose_stop_button_is_down_runs_on": (drive.sense, "held=inputs.stop or ", "held="),
    "a_car_whose_stop_button_is_down_keeps_its_calls": (drive.diagnose, "if is_stopped:", "if False:"),
    "an_obstruction_holds_a_car_with_a_closed_door": (
        drive.sense,
        "held=inputs.stop or ",
        "held=inputs.stop or (inputs.obstructed and not inputs.confirmed.door_open) or ",
    ),
}
"""Of each: the function, words of it, and what stands there instead."""


BREAKS: Mapping[str, str] = {
    "G1": (
        "merge_drops_a_dot a_press_uses_its_dot_again a_cab_call_is_forgotten_on_restart "
        "a_restarted_node_uses_its_old_name_again calls_of_former_runs_are_forgotten "
        "a_node_whose_record_is_lost_leaves_its_cab_calls_alone "
        "a_record_that_is_read_late_is_overwritten a_record_that_is_read_late_is_ignored "
        "a_new_run_takes_the_name_of_one_that_left_no_record"
    ),
    "G3": (
        "a_dead_peer_is_waited_for_for_ever of_several_heartbeats_one_is_heard a_stuck_motor_is_not_noticed "
        "a_dead_motor_is_kept_secret a_blocked_car_keeps_its_calls an_unable_car_is_given_calls "
        "an_unable_peer_does_not_make_a_car_think_again"
    ),
    "G4": "merge_drops_a_dot",
    "G5": "a_call_lights_only_where_it_was_pressed",
    "G6": "merge_forgets_who_has_seen",
    "G7": "former_runs_are_never_forgotten what_a_peer_has_forgotten_is_remembered_of_it",
    "L1": "a_call_lights_only_where_it_was_pressed a_quick_turn_leaves_out_new_calls",
    "L2": "a_twin_is_taken_for_oneself",
    "L3": (
        "a_lamp_lights_before_the_record a_lamp_lights_before_the_others_know what_is_told_is_not_on_the_disk "
        "news_waits_for_the_next_heartbeat a_new_program_promises_before_it_has_listened "
        "a_lamp_waits_for_those_who_do_not_hear_its_node a_failing_disk_keeps_lamps_dark "
        "an_acknowledgement_covers_records_after_it"
    ),
    "L4": "merge_forgets_who_has_seen a_lamp_stays_lit_for_ever a_former_run_is_taken_for_another_node",
    "L5": (
        "a_press_is_missed_while_the_door_is_open a_press_is_missed_while_a_new_program_listens "
        "of_two_buttons_pressed_at_once_one_is_noted a_button_that_is_down_at_the_start_is_not_pressed "
        "a_quick_turn_leaves_out_what_the_panel_says a_press_that_was_read_long_ago_is_forgotten"
    ),
    "L6": "the_indicator_shows_where_a_car_last_stood the_stop_lamp_is_lit_whenever_a_car_is_held",
    "D1": (
        "the_door_closes_early the_door_opens_while_the_car_moves a_car_is_thought_to_stand_when_told_to "
        "a_car_does_not_think_again_when_it_is_time"
    ),
    "D2": "the_door_closes_on_an_obstruction an_obstruction_does_not_renew_the_period",
    "D3": "an_obstruction_holds_a_car_with_a_closed_door",
    "D4": "a_new_run_shuts_the_door_of_the_old_one a_door_shuts_as_its_server_comes_back",
    "C1": "a_car_opens_at_every_floor a_car_turns_though_calls_are_ahead a_car_passes_those_who_go_its_way",
    "C2": "a_service_serves_both_directions",
    "C3": "the_announced_direction_changes_at_once",
    "C4": "a_floor_is_never_searched_for a_lost_car_looks_above_first a_lost_car_looks_below_for_ever",
    "C5": (
        "a_car_whose_sensor_is_dead_keeps_its_calls a_car_whose_sensor_is_dead_runs_on an_impossible_floor_is_believed"
    ),
    "C6": "pressing_on_holds_a_car_for_ever",
    "C7": "a_car_whose_stop_button_is_down_runs_on a_car_whose_stop_button_is_down_keeps_its_calls",
    "C8": (
        "a_stuck_motor_is_not_noticed a_dead_motor_is_kept_secret a_motor_is_told_again_at_every_turn "
        "a_motor_is_not_told_again"
    ),
    "C9": (
        "a_door_is_thought_to_be_open_when_told_to a_call_is_served_as_soon_as_the_car_stops "
        "a_reply_confirms_what_was_sent_after_its_sweep"
    ),
    "C10": "a_new_program_does_not_listen_first a_thawed_program_acts_at_once what_was_decided_long_ago_is_done",
    "C11": "nothing_is_repeated_after_a_reconnect a_car_is_thought_to_be_where_it_was_when_its_server_went",
    "A1": "every_car_takes_every_call a_call_is_not_left_to_an_open_door",
    "A2": (
        "no_guard_against_starvation a_call_that_nobody_takes_is_left_alone "
        "a_call_is_left_to_an_open_door_for_ever the_guard_against_starvation_knows_one_direction "
        "the_guard_does_not_wake_the_node"
    ),
    "A3": (
        "a_twin_is_taken_for_oneself another_with_its_id_is_forgotten_at_once nobody_says_that_a_node_has_other_floors"
    ),
}
"""Which mutants break each rule of elevator/specification.md."""


def test_each_mutant_names_the_rules_that_it_breaks() -> None:
    named = {name for names in BREAKS.values() for name in names.split()}
    assert named == {*MUTANTS, *WORDS}


def test_the_core_as_it_is_passes() -> None:
    for seed in range(1, 6):
        assert not campaign.outcome(plan(seed))[0].violation


@pytest.mark.parametrize("name", [*MUTANTS, *WORDS])
def test_mutants_are_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in WORDS:
        reword(monkeypatch, *WORDS[name])
    else:
        MUTANTS[name](monkeypatch)
    first = TRY_FIRST.get(name, 1)
    for seed in (*range(first, SEEDS + 1), *range(1, first)):
        done = campaign.outcome(plan(seed))[0]
        if done.violation and not done.crashed:  # A crash would be noticed without any judge.
            print(f"{name}: seed {seed}: {done.violation}")
            return
    pytest.fail(f"{name} was not caught by {SEEDS} seeds")
