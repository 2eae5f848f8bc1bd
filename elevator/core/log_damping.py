"""A fault that is logged once when it begins and once when it ends, even if it flaps: pure.

1. It begins with the first failure. With `begin_ms`, it begins once at least one sample in ONE_IN has failed for that
   long. A score decides: a failure adds ONE_IN - 1 and a success subtracts 1, so the score stays at or above zero only
   while that many fail (a CUSUM, Page 1954).
2. It ends once no sample has failed for `calm_ms`.
3. Flap damping, as RFC 2439 does for routes: a fault that begins within FORGET_MS of its last end recurs. From its
   second recurrence on it must stay away for DAMPED_MS before its end is logged, and twice as long each time, up to
   DAMPED_MAX_MS. So a fault that flaps for ever costs a dozen lines in the first minute and then two a minute.
"""

from typing import NamedTuple

from attrs import define

ONE_IN = 5
SCORE_MAX = 20
"""Limits for how long old failures count: it takes this many successes to forget any number of them."""
FORGET_MS = 60_000
FREE_RECURRENCES = 1
DAMPED_MS, DAMPED_MAX_MS = 5000, 60_000


class Report(NamedTuple):
    """What to log of a condition now."""

    begins: bool
    times: int
    """How many times it began since it was last logged."""
    damped_ms: int = 0
    """How long it must now stay away before its end is logged, if it is damped."""

    @property
    def note(self) -> str:
        """What to add to the line."""
        if not self.begins:
            return f" (after {self.times} interruptions)" if self.times > 1 else ""
        quiet_s = self.damped_ms // 1000
        return f" (recurring: logged again only after {quiet_s} s without a recurrence)" if quiet_s else ""

    def line(self, begins: str, ends: str) -> str:
        return (begins if self.begins else ends) + self.note


@define(eq=False)
class Condition:
    """One fault, fed with samples of whether it is there. A fault lasts from one sample to the next."""

    is_failing: bool | None = False
    """As last reported. None: nothing has been reported yet, so the first sample is."""
    begin_ms: int = 0
    calm_ms: int = 0
    is_dampable: bool = True
    _score: int = 0
    _suspect_since_ms: int | None = None
    """Since when the score has not fallen below zero."""
    _calm_since_ms: int | None = None
    """When the first success came after the last failure. None: there is none, or the last sample failed."""
    _forget_at_ms: int = 0
    _recurrences: int = -1
    _times: int = 0
    """How many times it began since it was last reported to begin, that time included."""

    def __attrs_post_init__(self) -> None:
        self._times = int(bool(self.is_failing))

    def feed(self, now_ms: int, failed: bool) -> Report | None:
        """Take a sample; return what to log, if anything."""
        if not failed:
            self._succeed(now_ms)
            return self._end(now_ms)
        ended = self._end(now_ms)  # Its end may have fallen due since the last sample.
        self._times += self._calm_since_ms is not None
        return self._fail(now_ms) or ended

    @property
    def damped_ms(self) -> int:
        """How long it must stay away before its end is logged, if that is longer than usual; else 0."""
        excess = self._recurrences - FREE_RECURRENCES
        if not self.is_failing or not self.is_dampable or excess <= 0:
            return 0
        return min(DAMPED_MS << min(excess - 1, 10), DAMPED_MAX_MS)

    def _fail(self, now_ms: int) -> Report | None:
        self._calm_since_ms = None
        self._score = min(self._score + ONE_IN - 1, SCORE_MAX)
        if self._suspect_since_ms is None:
            self._suspect_since_ms = now_ms
        if self.is_failing or now_ms < self._suspect_since_ms + self.begin_ms:
            return None
        self._recurrences = self._recurrences + 1 if now_ms < self._forget_at_ms else 0
        self.is_failing, self._times = True, 1
        return Report(True, self._times, self.damped_ms)

    def _succeed(self, now_ms: int) -> None:
        if self._calm_since_ms is None:
            self._calm_since_ms = now_ms
        self._score -= 1
        if self._score < 0:
            self._score, self._suspect_since_ms = 0, None

    def _end(self, now_ms: int) -> Report | None:
        """End it if no sample has failed for long enough."""
        if self.is_failing is False or self._calm_since_ms is None:
            return None
        ends_at_ms = self._calm_since_ms + max(self.calm_ms, self.damped_ms)
        if now_ms < ends_at_ms:
            return None
        if self.is_failing:
            self._forget_at_ms = ends_at_ms + FORGET_MS
        self.is_failing, self._score, self._suspect_since_ms = False, 0, None
        return Report(False, self._times)
