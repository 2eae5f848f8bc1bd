"""The server side of the elevator server's protocol, without I/O: splits a client's bytes into messages.

A client may send a message in pieces. It may also send an extra byte, such as the newline that `echo` adds. This byte
looks like the first piece of a message, and would shift all later messages. So an incomplete message is dropped if its
next piece does not arrive within PIECE_MS.
"""

from elevator.core.model import Motor

MESSAGE_BYTES = 4
"""Length of a request and of a reply, in bytes."""
PIECE_MS = 100


class MessageReader:
    """Splits the stream of one client into messages."""

    def __init__(self) -> None:
        self._received = b""
        self._received_at_ms = 0

    def receive(self, chunk: bytes, now_ms: int) -> None:
        self._received += chunk
        self._received_at_ms = now_ms

    def peek(self) -> bytes:
        """Return the first complete message without removing it; empty if there is none."""
        return self._received[:MESSAGE_BYTES] if len(self._received) >= MESSAGE_BYTES else b""

    def pop(self) -> bytes:
        """Remove and return the first complete message; empty if there is none."""
        message = self.peek()
        self._received = self._received[len(message) :]
        return message

    def pop_all(self) -> bytes:
        """Remove and return all complete messages."""
        end = len(self._received) - len(self._received) % MESSAGE_BYTES
        messages, self._received = self._received[:end], self._received[end:]
        return messages

    def expires_at_ms(self) -> int | None:
        """Return when an incomplete message expires; None if there is none, or if complete messages precede it."""
        return self._received_at_ms + PIECE_MS if 0 < len(self._received) < MESSAGE_BYTES else None

    def expire(self, now_ms: int) -> int:
        """Drop an incomplete message that has expired by *now_ms*. Return the number of bytes dropped.

        First read the clock for *now_ms*, then receive everything that has arrived, then call this. Otherwise a late
        caller would drop a message whose next piece has already arrived.
        """
        expires_at_ms = self.expires_at_ms()
        if expires_at_ms is None or now_ms < expires_at_ms:
            return 0
        dropped, self._received = len(self._received), b""
        return dropped


def motor_direction(byte: int) -> Motor:
    """Decode *byte*, the direction in a motor message. Like the lab's servers, read it as signed: positive is up."""
    if byte == 0:
        return Motor.STOP
    return Motor.UP if byte < 128 else Motor.DOWN
