"""The broken variants of the reference controller, and the tests of `elevator exam` that each must fail.

Each variant has one mistake that students make. The exam is itself tested with this table: the reference controller
passes every test, and each variant fails at least the tests listed here. A variant may fail other tests too. A test
fails if any of its checks fails, at either level.

A test is listed only if the mistake makes it fail in practically every run. The table was written before the variants.
"""

from attrs import field, frozen


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


@frozen
class Variant:
    name: str
    """The value of the controller's option --broken."""
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
    Variant("stops-everywhere", "The car stops and opens its door at each floor that it passes.", "single"),
    Variant("reopens-when-idle", "A car without calls opens its door again and again.", "single rest"),
    Variant(
        "skips-top-floor",
        "A loop over the floors ends one too early, so no button of the top floor is read.",
        "single uppeak downpeak interfloor lunch",
    ),
    Variant(
        "never-serves-down",
        "Hall calls down light their lamps, but no car takes them.",
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
        "A car with an obstructed door stays in service, and keeps its hall calls for ever.",
        "obstruction",
    ),
    Variant("trusts-the-motor", "A motor without power is not detected, and the car keeps its hall calls.", "motor"),
    Variant("never-reconnects", "After a lost connection, the node does not connect to the server again.", "server"),
    # Lamps
    Variant(
        "lights-at-once",
        "The lamp of a hall call lights at the press, but the other nodes hear of it up to 0.5 s later.",
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
        "A hall lamp is lit only until a car takes the call, not until the car serves it.",
        "single lamps",
    ),
    Variant("shares-cab-lamps", "The lamp of a cab call lights on all panels.", "cab"),
    Variant(
        "needs-a-peer",
        "A lamp lights only if another node has acknowledged the call, so a node alone lights none.",
        "single kill-two unplug cutoff",
    ),
    # Crashes
    Variant("forgets-cab-calls", "A node starts without cab calls.", "restart blackout"),
    Variant("forgets-all-calls", "Calls are kept only in memory.", "blackout"),
    Variant("leaves-calls-to-the-dead", "A hall call that a car has taken stays with it, even if it dies.", "kill"),
    Variant(
        "trusts-peers-for-ever",
        "A peer that was heard once never times out.",
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
        "A panel shows the calls of the leader's last heartbeat to arrive, even if a newer one has overtaken it.",
        "jitter",
    ),
    Variant(
        "never-forgives",
        "A peer that has timed out is ignored for ever, even if it is heard again.",
        "unplug cutoff split",
    ),
    Variant(
        "forgets-when-alone",
        "A node that loses its last peer drops all hall calls, because the others will serve them.",
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
    Variant("deaf-after-freeze", "A process that was frozen takes the network for lost and closes it.", "freeze"),
    Variant("crashes-on-garbage", "A malformed datagram ends the program.", "garbage corrupt"),
    Variant("no-checksum", "Datagrams have no checksum, so flipped bits become calls.", "corrupt"),
    Variant(
        "obeys-replays",
        "A press is sent as a command without a number, so each copy of it makes a new call.",
        "replay",
    ),
)
"""All variants; their names are unique."""
