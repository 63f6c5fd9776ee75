"""One limit that a service does not tell: lowered to what it admitted, then tried upwards in growing steps."""

from __future__ import annotations

import math

# A limit is kept for so long (the first, the second, all later times), and later for so many requests; then it is
# tried upwards by 5 %, 10 %, 20 % ...
HOLDS_S, HOLD_REQUESTS = (0.5, 1.0, 2.5), 50
FIRST_STEP, LARGEST_STEP = 0.05, 2.0
PARTS = 8  # of a step of how many at once, spread over its time: the first one that is refused ends it
TRIAL_S = 1.0  # a limit that is found so soon after a step upwards is laid to the step
FAR = 1.15  # a limit that was found so much too low is tried upwards soon


class Ceiling:
    """One limit, infinite until it is found. value: asked for now. kept: what was found, without the trial upwards.

    next_s: when the next step upwards may be taken. risen_s: when the last one was.
    """

    def __init__(self) -> None:
        self.value = self.kept = math.inf
        self.next_s = self.risen_s = -math.inf
        self._step, self._by, self._goal = FIRST_STEP, 0.0, 0.0  # of the step that is being taken: how much, how far
        self._found = 0

    def is_tried(self, now_s: float) -> bool:
        """Say whether a step upwards was taken so lately that it can be the cause of a refusal."""
        return now_s <= self.risen_s + TRIAL_S

    def lower(self, value: float, now_s: float, rate: float) -> None:
        """Take `value`, and keep it for a while. rate: requests a second."""
        if self.value > self.kept and value >= FAR * self.kept:
            self._found = 0
        hold_s = HOLDS_S[min(self._found, len(HOLDS_S) - 1)]
        if self._found >= len(HOLDS_S):
            hold_s = max(hold_s, HOLD_REQUESTS / max(rate, 0.1))
        self.value = self.kept = value
        self._step, self._goal, self.next_s = FIRST_STEP, value, now_s + hold_s
        self._found += 1

    def rise(self, now_s: float, least: float, step_s: float) -> None:
        """Take a step up where it is time, or its next part; called only when the ceiling holds somebody back.

        least: of a part; 0 for a step taken at once. step_s: until the next step.
        """
        if now_s < self.next_s:
            return
        if self.value >= self._goal:
            self._by = max(least, self.value * self._step)
            self._goal = self.value + self._by
            self._step = min(2 * self._step, LARGEST_STEP)
        part = max(least, self._by / PARTS) if least else self._by
        self.value = min(self.value + part, self._goal)
        self.risen_s, self.next_s = now_s, now_s + step_s * part / self._by
