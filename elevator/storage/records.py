"""Records as text: what a node keeps on its disk."""

import json

from attrs import evolve

from elevator.core.call_set import merge
from elevator.core.model import MAX_FLOORS, Calls, Direction, OpenDoor, Record
from elevator.net.wire import COUNT_MAX, Entry, converter, dump, is_button, pack, unpack


def write_record(record: Record) -> str:
    return f"[{record.incarnation},{dump(record.door)},[{','.join(pack(record.calls))}],{dump(sorted(record.past))}]"


def read_record(text: str, floors: int) -> Record:
    """Parse what `write_record` returned; raise one of BAD_INPUT if *text* is not a record.

    The building may have fewer floors than when the record was written. Calls at other floors are dropped.
    """
    incarnation, door, entries, past = converter.structure(
        json.loads(text), tuple[int, tuple[int, Direction] | None, list[Entry], list[int]]
    )
    if not all(0 <= each < COUNT_MAX // 2 for each in (incarnation, *past)):  # Later incarnations are higher.
        raise ValueError(f"invalid incarnations: {incarnation} {past}")
    calls = unpack(entries, MAX_FLOORS)
    live = {dot: call for dot, call in calls.live.items() if is_button(*call, floors)}
    opened = OpenDoor(*door) if door is not None and 0 <= door[0] < floors else None
    return Record(incarnation, Calls(live, calls.seen), opened, frozenset(past))


def complete(record: Record, found: Record) -> Record:
    """Return *record* merged with the record *found* on the disk, whose incarnation becomes a past one.

    If it already is a past one, *record* is returned: the node has merged *found* itself and may since have served or
    forgotten some of its calls.
    """
    if found.incarnation in record.past:
        return record
    past = record.past | found.past | {found.incarnation}
    return evolve(record, calls=merge(record.calls, found.calls), past=past)
