"""Records as text: what a node keeps on its disk."""

import json

from attrs import evolve

from elevator.core.call_set import merge
from elevator.core.model import MAX_FLOORS, Calls, Direction, OpenDoor, Record
from elevator.net.wire import COUNT_MAX, Entry, converter, dump, is_button, pack, unpack


def write_record(record: Record) -> str:
    """Return *record* as the text that is kept on disk."""
    return f"[{record.incarnation},{dump(record.door)},[{','.join(pack(record.calls))}],{dump(sorted(record.past))}]"


def read_record(text: str, floors: int) -> Record:
    """Read what `write_record` wrote, but for calls that a building of *floors* floors cannot have.

    The node may have been given another building since. Raise one of BAD_INPUT if it is not a record.
    """
    incarnation, door, entries, past = converter.structure(
        json.loads(text), tuple[int, tuple[int, Direction] | None, list[Entry], list[int]]
    )
    if not all(0 <= run < COUNT_MAX // 2 for run in (incarnation, *past)):  # its successors' are higher
        raise ValueError(f"no incarnations: {incarnation} {past}")
    calls = unpack(entries, MAX_FLOORS)
    live = {dot: call for dot, call in calls.live.items() if is_button(*call, floors)}
    opened = OpenDoor(*door) if door is not None and 0 <= door[0] < floors else None
    return Record(incarnation, Calls(live, calls.seen), opened, frozenset(past))


def complete(record: Record, found: Record) -> Record:
    """Return *record* with what the one that was *found* on the disk had, unless whoever keeps it has taken that in.

    The run that kept the other is then one of its past.
    """
    if found.incarnation in record.past:
        return record
    past = record.past | found.past | {found.incarnation}
    return evolve(record, calls=merge(record.calls, found.calls), past=past)
