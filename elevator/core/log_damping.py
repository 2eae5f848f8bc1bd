"""Log damping: a fault is logged when it begins and when it ends, but less often if it flaps.

The caller passes the time and logs the reports.

1. A fault begins with the first failure. If `begin_ms` is set, it begins only once at least one in ONE_IN samples has
   failed for that long. A CUSUM (Page 1954) detects this. A failure adds ONE_IN - 1 to a score, and a success
   subtracts 1. So the score stays at or above zero only while that many samples fail.
2. A fault ends after `calm_ms` without a failure.
3. Flap damping, as in RFC 2439 for routes: a fault that begins within FORGET_MS of its last end is a recurrence. From
   the second recurrence on, its end is logged only after DAMPED_MS without a failure. This time doubles with each
   recurrence, up to DAMPED_MAX_MS. So a flapping fault causes at most a dozen log lines in a minute, and at most two
   once the damping has reached DAMPED_MAX_MS. There is no flap damping if `is_dampable` is false.
"""

from typing import NamedTuple

from attrs import define

ONE_IN = 5
SCORE_MAX = 20
"""The limit on the score. After at most SCORE_MAX + 1 successes in a row, earlier failures no longer count."""
FORGET_MS = 60_000
FREE_RECURRENCES = 1
DAMPED_MS, DAMPED_MAX_MS = 5000, 60_000


class Report(NamedTuple):
    """The beginning or end of a fault, to be logged now."""

    begins: bool
    times: int
    """The number of runs of failures in the fault so far; 0 if there was no fault. Runs are separated by successes that
    did not last long enough to end the fault."""
    damped_ms: int = 0
    """For a beginning, the condition's `damped_ms`; for an end, 0."""

    @property
    def note(self) -> str:
        """A suffix for the log line; empty if there is nothing to add.

        For an end, it gives the number of interruptions (`times`), if more than one. For a beginning, it says how long
        the damping delays the end, if at all.
        """
        if not self.begins:
            return f" (after {self.times} interruptions)" if self.times > 1 else ""
        quiet_s = self.damped_ms // 1000
        return f" (recurring: logged again only after {quiet_s} s without a recurrence)" if quiet_s else ""

    def line(self, begins: str, ends: str) -> str:
        return (begins if self.begins else ends) + self.note


@define(eq=False)
class Condition:
    """One fault, detected from a series of samples. Each sample holds until the next one."""

    is_failing: bool | None = False
    """Whether the fault was last reported as present. The initial value is what to assume before any report. If it is
    None, the first state is reported even if it is a success."""
    begin_ms: int = 0
    calm_ms: int = 0
    is_dampable: bool = True
    _score: int = 0
    _suspect_since_ms: int | None = None
    """When the earliest failure that still counts occurred; None if no failure counts. When the score falls below zero
    or the fault ends, earlier failures no longer count."""
    _calm_since_ms: int | None = None
    """When the current run of successes began; None if the last sample failed, or there has been no sample yet."""
    _forget_at_ms: int = 0
    _recurrences: int = -1
    _times: int = 0

    def __attrs_post_init__(self) -> None:
        self._times = int(bool(self.is_failing))

    def feed(self, now_ms: int, failed: bool) -> Report | None:
        """Process a sample. Return the beginning or end of the fault if it must be logged now, else None.

        If the fault has ended since the last sample and begins again with this one, return only the beginning.
        """
        if not failed:
            self._succeed(now_ms)
            return self._end(now_ms)
        ended = self._end(now_ms)  # The end may have become due since the last sample.
        self._times += self._calm_since_ms is not None
        return self._fail(now_ms) or ended

    @property
    def damped_ms(self) -> int:
        """How long flap damping requires the samples to succeed before the end is logged. `calm_ms` may require more.

        0 if the fault is not damped or not reported as present.
        """
        excess = self._recurrences - FREE_RECURRENCES
        if not self.is_failing or not self.is_dampable or excess <= 0:
            return 0
        return min(DAMPED_MS << min(excess - 1, 10), DAMPED_MAX_MS)

    @property
    def is_at_rest(self) -> bool:
        """True if the fault is not reported as present, and no earlier failure still counts (`_suspect_since_ms`)."""
        return not self.is_failing and self._suspect_since_ms is None

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
        """If the samples have succeeded for long enough, end the fault and return the report of its end."""
        if self.is_failing is False or self._calm_since_ms is None:
            return None
        ends_at_ms = self._calm_since_ms + max(self.calm_ms, self.damped_ms)
        if now_ms < ends_at_ms:
            return None
        if self.is_failing:
            self._forget_at_ms = ends_at_ms + FORGET_MS
        self.is_failing, self._score, self._suspect_since_ms = False, 0, None
        return Report(False, self._times)
