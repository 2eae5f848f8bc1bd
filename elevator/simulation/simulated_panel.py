"""The connection of a simulated program to its elevator server.

A real node sweeps its panel every SWEEP_MS. As long as nothing changes on the panel, each sweep returns the same reply,
so the world skips these sweeps. Before a turn, `catch_up` gives the client the reply to the last skipped sweep.
"""

from collections.abc import Callable

from attrs import define

from elevator.core.model import NEVER_MS, Outputs
from elevator.hardware.panel_client import SWEEP_MS, PanelClient
from elevator.simulation.simulated_server import SimulatedServer

RECENT_MS = 30


@define(eq=False)
class SimulatedPanel:
    """The program's side of the connection to its elevator server."""

    server: SimulatedServer
    client: PanelClient
    misread: Callable[[bytes], bytes]
    """Applies faults of the floor sensor to a reply."""
    phase_ms: int
    """The usual offset of a sweep from a multiple of SWEEP_MS. It may differ after a slow reply or a reconnect."""
    is_unreachable: bool = False
    """True if the server refuses connections."""
    is_disconnected: bool = False
    """True if the connection has broken and the program has not noticed it yet."""
    unnoticed_until_ms: int = 0
    """When the program notices that the server is unreachable. It notices earlier if its inputs become stale."""
    sweep_at_ms: int = NEVER_MS
    """When to call `sweep` next."""
    swept_at_ms: int = -1

    def connect(self) -> None:
        """Start a new connection: forget the state and the reply of the old one."""
        self.client.forget()
        self.server.reply = None
        self.is_disconnected = False

    def sweep_soon(self, now_ms: int) -> None:
        """Schedule a sweep for the earliest time that SWEEP_MS and `phase_ms` allow, unless one is due before that."""
        next_ms = now_ms + (self.phase_ms - now_ms) % SWEEP_MS
        self.sweep_at_ms = min(self.sweep_at_ms, next_ms if next_ms > self.swept_at_ms else next_ms + SWEEP_MS)

    def catch_up(self, now_ms: int) -> None:
        """Give the client the reply to the last skipped sweep, if any.

        Do nothing if the client sent its newest answered sweep less than RECENT_MS ago.
        """
        client = self.client
        if now_ms - client.newest_asked_at_ms < RECENT_MS:
            return
        at_ms = now_ms - self.server.lag_ms - (now_ms - self.phase_ms) % SWEEP_MS
        is_idle = client.has_answered and client.asked_at_ms is None and client.is_current
        if is_idle and at_ms > client.newest_asked_at_ms and not self.is_unreachable and not self.is_disconnected:
            client.ask(at_ms)
            client.read(client.newest_reply, now_ms)

    def write(self, outputs: Outputs, now_ms: int) -> None:
        commands = self.client.write(outputs)
        if commands and not self.is_unreachable and not self.is_disconnected:
            self.server.receive_commands(commands, now_ms)
            self.sweep_at_ms = min(self.sweep_at_ms, self.server.due_to_client_at_ms)

    def sweep(self, now_ms: int) -> None:
        """Do what is due: detect a broken connection, send a sweep, or read its reply."""
        server, client = self.server, self.client
        self.sweep_at_ms = NEVER_MS
        if self.is_unreachable and now_ms < self.unnoticed_until_ms and client.inputs(now_ms) is not None:
            self.sweep_at_ms = self.unnoticed_until_ms
        elif self.is_unreachable or self.is_disconnected:
            self.connect()
            self.sweep_at_ms = NEVER_MS if self.is_unreachable else now_ms + SWEEP_MS
        else:
            if client.asked_at_ms is None:
                if client.inputs(now_ms) is not None:
                    self.catch_up(now_ms)
                self.swept_at_ms = now_ms
                server.receive_sweep(client.ask(now_ms), now_ms)
            if server.reply is not None and server.reply_at_ms <= now_ms:
                self.sweep_at_ms = now_ms + SWEEP_MS if self.swept_at_ms < now_ms else NEVER_MS
                client.receive(self.misread(server.reply), now_ms)
                server.reply = None
            self.sweep_at_ms = min(self.sweep_at_ms, server.due_to_client_at_ms)
