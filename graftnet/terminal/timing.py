"""Estimate how long a stage still takes, by how fast it was of late: its first steps are slower than the others."""

from collections import deque
from collections.abc import Callable
from time import monotonic

LEAST = 2.0  # seconds before anything is said
KEPT = 64  # observations


class Remaining:
    """Hears how much of a stage is done; :meth:`left` is the seconds that the rest takes, None while nobody can say.

    The pace is that of the later half of the time so far. What comes once (compiling, filling caches, the first
    epoch's allocations) leaves that half soon; a pace that drifts is still followed.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.begin()

    def begin(self, done: float = 0) -> None:
        """Forget what was: another stage begins, with so much of it done already."""
        self.began = self.clock()
        self.seen: deque[tuple[float, float]] = deque([(self.began, done)])

    def hear(self, done: float) -> None:
        """So much is done now."""
        now = self.clock()
        if done != self.seen[-1][1]:
            self.seen.append((now, done))
        middle = self.began + (now - self.began) / 2
        # The last observation before the middle stays: it says what was done there.
        while len(self.seen) > 2 and (self.seen[1][0] <= middle):
            self.seen.popleft()
        if len(self.seen) > KEPT:  # every second one is enough, the newest among them
            self.seen = deque([*list(self.seen)[:-1:2], self.seen[-1]])

    def left(self, total: float) -> float | None:
        """Seconds until ``total`` is done."""
        (first, before), (last, done) = self.seen[0], self.seen[-1]
        now = self.clock()
        if done <= before or last <= first or now - self.began < LEAST:
            return None
        pace = (last - first) / (done - before)
        # What has passed since the last step counts as done of the next one, but for no more than that step.
        return max(0.0, pace * (total - done) - min(now - last, pace))
