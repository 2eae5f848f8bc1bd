"""What a program in the simulated world does at its panel: sweeps it, and writes to it, over its server's connection.

A sweep of a panel on which nothing has changed tells a program nothing, so it is left out: panels are swept, on the
grid of every 10 ms, when they have changed.
"""

from attrs import define, evolve

from elevator.core.model import NEVER_MS, Confirmed, Inputs, Outputs
from elevator.hardware.elevator_server import changes, snapshot, sweep
from elevator.hardware.panel_client import FRESH_MS, SWEEP_MS, confirmation
from elevator.hardware.panel_outputs import outputs_after
from elevator.simulation.simulated_server import SimulatedServer


@define(eq=False)
class SimulatedPanel:
    """The program's end of the connection."""

    server: SimulatedServer
    floors: int
    phase_ms: int
    """When in each SWEEP_MS it sweeps."""
    inputs: Inputs | None = None
    """What the program was last told."""
    sent: Outputs | None = None
    """The outputs written since the last connect."""
    asked_after: Confirmed = confirmation(None)
    """What the panel had done when it was last asked, as far as the program relies on that."""
    is_gone: bool = False
    """Whether nothing connects."""
    hung_up: bool = False
    """Whether the connection has ended, even if another is possible by now, and the program does not know."""
    silent_until_ms: int = 0
    """Until when the program cannot notice that, unless the server is back."""
    sweep_ms: int = NEVER_MS
    swept_ms: int = -1
    """When the panel was last swept."""
    read_ms: int = -1
    """When the panel was swept for what it last said."""

    def start(self) -> None:
        """Connect a program that has just started."""
        self.inputs = self.sent = self.server.reply = None
        self.hung_up = False

    def hang_up(self, now_ms: int, silent_ms: int) -> None:
        self.hung_up, self.silent_until_ms = True, now_ms + silent_ms

    def sweep_soon(self, now_ms: int) -> None:
        """Sweep at the next time on the grid: something has changed."""
        next_ms = now_ms + (self.phase_ms - now_ms) % SWEEP_MS
        self.sweep_ms = min(self.sweep_ms, next_ms if next_ms > self.swept_ms else next_ms + SWEEP_MS)

    def asked_at_ms(self, now_ms: int) -> int:
        """Return when the program last asked for what it knows, also in sweeps that are left out here."""
        if self.server.reply is not None:
            return self.read_ms
        return max(self.read_ms, now_ms - self.server.longest_ms() - SWEEP_MS)

    def can_write(self, outputs: Outputs) -> bool:
        """Tell whether there is anything to write, and a connection for it."""
        has_answered = self.sent is not None or self.inputs is not None
        return not self.is_gone and not self.hung_up and has_answered and outputs != self.sent

    def write(self, outputs: Outputs, now_ms: int) -> None:
        orders = changes(self.sent, outputs, self.floors)
        self.sent = outputs_after(self.sent, outputs)
        self.asked_after = confirmation(self.sent, self.asked_after)
        if not self.server.order(orders, now_ms):
            self.sweep_ms = min(self.sweep_ms, self.server.orders_ms)

    def is_answered(self, now_ms: int) -> bool:
        """Ask the panel, if it was not; tell whether it now says something, even if only that it is gone.

        What comes too late to be believed is thrown away.
        """
        server = self.server
        if self.is_gone and now_ms < self.silent_until_ms and self.inputs is not None:
            self.sweep_ms = self.silent_until_ms
            return False
        if server.reply is not None and now_ms >= self.swept_ms + FRESH_MS:
            server.reply = None
        if self.hung_up or self.is_gone:
            server.reply = None
            return True
        if server.reply is None:
            if server.orders:  # It obeys first.
                return False
            self.swept_ms = now_ms
            self.asked_after = confirmation(self.sent)
            server.ask(sweep(self.floors), now_ms)
        if now_ms < server.reply_ms:
            self.sweep_ms = min(server.reply_ms, server.orders_ms if server.orders else NEVER_MS)
            return False
        return True

    def read(self, now_ms: int) -> Inputs | None:
        """Return what the panel says; None: it is gone."""
        server = self.server
        reply, server.reply = server.reply, None
        self.read_ms = self.swept_ms
        is_back = self.hung_up and not self.is_gone
        self.hung_up = False
        is_old = reply is not None and self.swept_ms < now_ms
        self.sweep_ms = now_ms + SWEEP_MS if is_back or is_old else NEVER_MS
        if server.orders:
            self.sweep_ms = min(self.sweep_ms, server.orders_ms)
        inputs = None if reply is None else snapshot(reply, self.floors)
        return None if inputs is None else evolve(inputs, confirmed=self.asked_after)
