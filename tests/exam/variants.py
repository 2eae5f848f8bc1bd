"""The broken variants of the reference controller, and the tests of `elevator exam` that each must fail.

Each variant has one mistake that students make. This table tests the exam itself: the reference controller passes every
test, and each variant fails at least the tests listed here. A variant may fail other tests too. For this table, a test
fails if any of its checks fails. In the exam itself, a failed check at the level "beyond" fails nothing.

A test is listed only if the mistake makes it fail in practically every run. The table was written before the variants,
so it lists what the exam must find, not what it happens to find.
"""

from attrs import field, frozen


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


@frozen
class Variant:
    name: str
    """The value of the option --broken of controller.py."""
    mistake: str
    must_fail: frozenset[str] = field(converter=_names)
    """Names of tests of the exam, given as one string with spaces."""


VARIANTS = (
    # One car
    Variant("hasty-door", "The door closes after 1 s.", "single door obstruction lamps cab"),
    Variant("slow-door", "The door closes after 8 s.", "single door obstruction lamps cab"),
    Variant("opens-in-motion", "The door opens 0.2 s before the motor stops.", "single door"),
    Variant("brakes-late", "The motor stops 0.7 s after the floor sensor, past the floor.", "single door"),
    Variant("starts-with-open-door", "The motor starts 0.5 s before the door closes.", "single"),
    Variant("ignores-own-floor", "A call at the floor where the car stands does not open the door.", "door"),
    Variant("stops-everywhere", "The car stops and opens its door at each floor that it reaches.", "single"),
    Variant("reopens-when-idle", "A car without calls opens its door again and again.", "single rest"),
    Variant(
        "skips-top-floor",
        "A loop over the floors ends one too early, so no button of the top floor is read.",
        "single uppeak downpeak interfloor lunch",
    ),
    Variant(
        "never-serves-down",
        "Hall calls down light their lamps, but no car claims them.",
        "single downpeak",
    ),
    Variant(
        "misses-presses",
        "The buttons are polled once a second, so most presses of 200 ms are missed.",
        "single lamps cab",
    ),
    Variant("counts-from-one", "The floor indicator counts floors from 1.", "single"),
    Variant("ignores-stop-button", "The motor keeps running while the stop button is down.", "stop"),
    Variant("ignores-obstruction", "The door closes on an obstruction.", "obstruction"),
    Variant(
        "closes-after-obstruction",
        "The door closes as soon as the obstruction clears, without another dwell time.",
        "obstruction",
    ),
    Variant(
        "trusts-the-door",
        "A car with an obstructed door stays in service, and keeps its claims forever.",
        "obstruction",
    ),
    Variant("trusts-the-motor", "A motor without power is not detected, and the car keeps its claims.", "motor"),
    Variant("never-reconnects", "After a lost connection, the node does not connect to the server again.", "server"),
    # Lamps
    Variant(
        "lights-at-once",
        "The lamp of a hall call lights at the press, but the other nodes receive the call up to 0.5 s later.",
        "kill-pressed",
    ),
    Variant(
        "lights-pressed-panel-only",
        "The lamp of a hall call lights only on the panel that was pressed.",
        "lamps",
    ),
    Variant("darkens-own-panel-only", "A hall lamp goes dark only on the panel of the car that serves it.", "lamps"),
    Variant(
        "darkens-when-assigned",
        "A hall lamp is lit only until a car claims the call, not until the car serves it.",
        "single lamps",
    ),
    Variant("shares-cab-lamps", "The lamp of a cab call lights on all panels.", "cab"),
    Variant(
        "needs-a-peer",
        "A lamp lights only if another node has acknowledged the call, so a node without peers lights none.",
        "single kill-two unplug cutoff",
    ),
    # Crashes
    Variant("forgets-cab-calls", "A restarted node has lost its cab calls.", "restart blackout"),
    Variant("forgets-all-calls", "Calls are kept only in memory.", "blackout"),
    Variant("accepts-claims-of-the-dead", "A car keeps its claims to hall calls even when its node is dead.", "kill"),
    Variant(
        "trusts-peers-forever",
        "A peer never times out after its first heartbeat.",
        "kill kill-two unplug cutoff split",
    ),
    # The network
    Variant(
        "sends-once",
        "The calls are sent once, when they change, and not again if that datagram is lost.",
        "loss30 loss50 loss70",
    ),
    Variant(
        "trusts-arrival-order",
        "A panel shows the hall calls in the leader's heartbeat that arrived last, even if it is not the newest.",
        "jitter",
    ),
    Variant(
        "ignores-returned-peers",
        "A peer that has timed out is ignored forever, even if its heartbeats arrive again.",
        "unplug cutoff split",
    ),
    Variant(
        "forgets-when-alone",
        "A node that has lost all peers drops all hall calls, and relies on the others to serve them.",
        "kill-two unplug cutoff",
    ),
    Variant(
        "adopts-when-alone",
        "A node that was alone replaces its calls with those of the first peer that it hears.",
        "cutoff",
    ),
    Variant(
        "two-leaders",
        "Each part of a split group has a leader; when the parts meet, one leader's calls replace the other's.",
        "split",
    ),
    Variant("disconnects-after-freeze", "A process that was frozen closes its network socket.", "freeze"),
    Variant("crashes-on-garbage", "A malformed datagram ends the program.", "garbage corrupt"),
    Variant("no-checksum", "The checksum of datagrams is ignored, so flipped bits become calls.", "corrupt"),
    Variant(
        "executes-replays",
        "A press of a hall button is also sent as a command without a number, so each copy makes a new call.",
        "replay",
    ),
)
