"""Records as text: what a node keeps on its disk."""

import json

from attrs import evolve

from elevator.core.call_set import covers, merge
from elevator.core.model import MAX_FLOORS, Calls, Direction, OpenDoor, Record
from elevator.net.wire import COUNT_MAX, Entry, converter, dump, is_button, pack, unpack


def write_record(record: Record) -> str:
    return f"[{record.incarnation},{dump(record.door)},[{','.join(pack(record.calls))}]]"


def read_record(text: str, floors: int) -> Record:
    """Parse the result of `write_record`; raise one of BAD_INPUT if *text* is not a record.

    The building may have fewer floors than when the record was written. Calls at missing floors are dropped. Earlier
    versions wrote a fourth field, which is ignored.
    """
    fields = json.loads(text)
    incarnation, door, entries = converter.structure(
        fields[:3] if len(fields) == 4 else fields, tuple[int, tuple[int, Direction] | None, list[Entry]]
    )
    if not 0 <= incarnation < COUNT_MAX // 2:  # Later incarnations are higher.
        raise ValueError(f"invalid incarnation: {incarnation}")
    calls = unpack(entries, MAX_FLOORS)
    live = {dot: call for dot, call in calls.live.items() if is_button(*call, floors)}
    opened = OpenDoor(*door) if door is not None and 0 <= door[0] < floors else None
    return Record(incarnation, Calls(live, calls.seen), opened)


def complete(record: Record, found: Record) -> Record:
    """Return *record* merged with *found*, an older record of the same node, unless the node has merged *found* itself.

    In that case *record* covers all calls of *found*, and the result is *record* itself. The caller must then complete
    no later records of the node: that could restore authors of *found* that the node has forgotten since.
    """
    if all(covers(record.calls.seen, dot) for dot in found.calls.live):
        return record
    return evolve(record, calls=merge(record.calls, found.calls))
