"""The worker's side of the recorder's protocol, without a process."""

import pytest

from elevator.core.call_set import press
from elevator.core.messages import Record
from elevator.core.model import NEVER_MS, Author, Button, Call, Calls
from elevator.storage.recorder_client import ACK_TIMEOUT_MS, NOTHING, WINDOW, DiskNews, RecorderClient
from elevator.storage.records import write_record

ME = Author(2, 70)
CALLS = [Calls()]
for _ in range(2 * WINDOW):
    CALLS.append(press(CALLS[-1], ME, Call(Button.CAB, len(CALLS) % 4, 2)))
RECORDS = [Record(70 + n, calls) for n, calls in enumerate(CALLS)]


@pytest.fixture
def client() -> RecorderClient:
    return RecorderClient(4)


def send(client: RecorderClient, now_ms: int = 0) -> bytes | None:
    message = client.message()
    if message is not None:
        client.note_sent(now_ms)
    return message


def save(client: RecorderClient, *numbers: int) -> None:
    """Save and send RECORDS with these *numbers*, one by one."""
    for number in numbers:
        client.save(RECORDS[number])
        assert send(client) == write_record(RECORDS[number]).encode()


def test_record_is_sent_once_and_acknowledged(client: RecorderClient) -> None:
    save(client, 1)
    client.save(Record(71, CALLS[1]))
    assert send(client) is None, "an equal record is not sent again"
    assert client.take_news() is NOTHING
    client.receive(b"+1", 5)
    assert client.take_news() == DiskNews(recorded=CALLS[1])
    assert client.take_news() is NOTHING
    assert client.wake_at_ms() == NEVER_MS


def test_message_is_offered_until_it_is_sent(client: RecorderClient) -> None:
    client.save(RECORDS[1])
    assert client.message() == client.message() == write_record(RECORDS[1]).encode()


def test_acknowledgement_covers_earlier_records(client: RecorderClient) -> None:
    save(client, 1, 2, 3)
    client.receive(b"+2", 5)
    assert client.take_news().recorded is CALLS[2]
    client.receive(b"+3", 6)
    assert client.take_news().recorded is CALLS[3]


def test_repeated_acknowledgement_does_not_cover_a_later_record(client: RecorderClient) -> None:
    """The recorder repeats an acknowledgement if it had to rewrite a deleted record."""
    save(client, 1)
    client.receive(b"+1", 5)
    client.take_news()
    save(client, 2)
    client.receive(b"+1", 6)
    assert client.take_news() == DiskNews(recorded=CALLS[1])
    client.receive(b"+2", 7)
    assert client.take_news() == DiskNews(recorded=CALLS[2])


def test_only_the_newest_record_waits_while_the_window_is_full(client: RecorderClient) -> None:
    save(client, *range(1, WINDOW + 1))
    for number in (WINDOW + 1, WINDOW + 2):
        client.save(RECORDS[number])
        assert send(client) is None
    client.receive(b"+1", 5)
    assert send(client) == write_record(RECORDS[WINDOW + 2]).encode()
    client.receive(b"+%d" % (WINDOW + 1), 6)
    assert client.take_news().recorded is CALLS[WINDOW + 2]


def test_disk_counts_as_failed_until_it_accepts_the_record(client: RecorderClient) -> None:
    save(client, 1)
    for now_ms in (5, 505):
        client.receive(b"-1", now_ms)
        assert client.take_news() == DiskNews(failed=True)
    assert send(client) is None, "the recorder retries on its own"
    client.receive(b"+1", 1005)
    assert client.take_news() == DiskNews(recorded=CALLS[1])


def test_later_success_in_the_same_turn_cancels_a_failure(client: RecorderClient) -> None:
    save(client, 1)
    client.receive(b"-1", 5)
    client.receive(b"+1", 5)
    assert client.take_news() == DiskNews(recorded=CALLS[1])


def test_overdue_acknowledgement_is_reported_once(client: RecorderClient) -> None:
    save(client, 1)
    assert client.wake_at_ms() == ACK_TIMEOUT_MS
    assert not client.detect_lateness(ACK_TIMEOUT_MS - 1)
    assert client.detect_lateness(ACK_TIMEOUT_MS)
    assert client.take_news() == DiskNews(failed=True)
    assert client.is_late
    assert not client.detect_lateness(3 * ACK_TIMEOUT_MS)
    client.receive(b"+1", 3 * ACK_TIMEOUT_MS)
    assert client.take_news() == DiskNews(recorded=CALLS[1])
    save(client, 2)
    assert client.wake_at_ms() == 4 * ACK_TIMEOUT_MS


def test_acknowledgement_restarts_the_timeout_for_the_next_record(client: RecorderClient) -> None:
    save(client, 1, 2)
    client.receive(b"+1", 900)
    assert client.wake_at_ms() == 900 + ACK_TIMEOUT_MS


def test_new_recorder_gets_the_newest_record(client: RecorderClient) -> None:
    save(client, 1, 2)
    client.receive(b"+1", 5)
    client.take_news()
    client.lose()
    assert client.take_news() == DiskNews(failed=True)
    assert client.wake_at_ms() == NEVER_MS
    client.receive(b"=", 6)
    assert client.take_news() is NOTHING
    assert send(client, 7) == write_record(RECORDS[2]).encode()
    client.receive(b"+1", 8)
    assert client.take_news() == DiskNews(recorded=CALLS[2])


def test_record_found_late_is_reported(client: RecorderClient) -> None:
    client.receive(b"=" + write_record(RECORDS[3]).encode(), 5)
    assert client.take_news() == DiskNews(found=RECORDS[3])


def test_unusable_record_is_reported_as_a_failure_with_a_reason(client: RecorderClient) -> None:
    client.receive(b"!it belongs to another node", 5)
    assert client.take_news() == DiskNews(failed=True)
    assert client.refusal == "it belongs to another node"
