"""Records as text: what a node keeps on its disk.

A record is the JSON `[incarnation, door, entries]`. The door is `[floor, direction]` if it may be open, else `null`. An
entry lists the live presses of one author: `[id, incarnation, n, [[button, floor, car, age], ...]]`. Here n is the
number of the author's newest press, live or not. The number of each listed press is n - age. Hall calls have car -1.
"""

import json

from attrs import evolve

from elevator.core.call_set import acknowledges, merge
from elevator.core.messages import OpenDoor, Record
from elevator.core.model import EVERY_CAR, MAX_FLOORS, Author, Button, Calls, Direction, Entry
from elevator.net.wire import COUNT_MAX, checked_entry, is_button
from elevator.storage.strict import strict_converter

EntryText = tuple[int, int, int, list[tuple[int, int, int, int]]]
converter = strict_converter(int)
dump = json.JSONEncoder(separators=(",", ":")).encode


def write_record(record: Record) -> str:
    return f"[{record.incarnation},{dump(record.door)},[{','.join(map(write_entry, record.calls.entries.values()))}]]"


def write_entry(entry: Entry) -> str:
    """Return *entry* as JSON. Formatting the numbers here is faster than with json."""
    (id, incarnation), newest = entry.author, entry.newest
    presses = [f"[{button:d},{floor},{car},{newest - n}]" for n, (button, floor, car) in entry.live.items()]
    return f"[{id},{incarnation},{newest},[{','.join(presses)}]]"


def read_record(text: str, floors: int) -> Record:
    """Parse the result of `write_record`; raise one of BAD_INPUT if *text* is not a record.

    Drop the calls and the open door that a building of *floors* floors cannot have. The record may contain them if the
    number of floors has been changed. Ignore the fourth field that earlier versions wrote.
    """
    fields = json.loads(text)
    incarnation, door, texts = converter.structure(
        fields[:3] if len(fields) == 4 else fields, tuple[int, tuple[int, Direction] | None, list[EntryText]]
    )
    if not 0 <= incarnation < COUNT_MAX // 2:  # Later incarnations need room for higher numbers.
        raise ValueError(f"invalid incarnation: {incarnation}")
    entries = [read_entry(each, floors) for each in texts]
    calls = Calls({entry.author: entry for entry in entries})
    if len(calls.entries) < len(entries):
        raise ValueError("two entries for one incarnation of a node")
    opened = OpenDoor(*door) if door is not None and 0 <= door[0] < floors else None
    return Record(incarnation, calls, opened)


def read_entry(text: EntryText, floors: int) -> Entry:
    """Parse an entry and drop the calls whose buttons do not exist; raise ValueError if the entry is invalid."""
    id, incarnation, newest, presses = text
    for button, _, car, _ in presses:
        if car != (id if button == Button.CAB else EVERY_CAR):
            raise ValueError(f"invalid car of a call of node {id}: {car}")
    entry = checked_entry(
        Author(id, incarnation), newest, [(button, floor, age) for button, floor, _, age in presses], MAX_FLOORS
    )
    return evolve(entry, live={n: call for n, call in entry.live.items() if is_button(call.button, call.floor, floors)})


def complete(record: Record, found: Record) -> Record:
    """Return *record* with the calls of *found* merged into it. *found* is an older record of the same node.

    If *record* acknowledges all live presses in *found*, return *record* itself. The caller must then not complete
    later records with *found*, because that could restore calls of authors that the node has forgotten since.
    """
    if all(acknowledges(record.calls, dot) for dot in found.calls.live):
        return record
    return evolve(record, calls=merge(record.calls, found.calls))
