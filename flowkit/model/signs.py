"""What refusals say: many in a row are a limit, one above a limit that was kept to is its edge, others are chance."""

from __future__ import annotations

import math

from flowkit.model.tries import Try

# Each refusal counts 1, each admitted request between two of them takes LEAK off: up to 13 % refused are chance, and
# of 5 % one in 14,000 requests makes the count so high that it passes for a limit.
LEAK, SIGNS = 0.15, 4.0
# Where more than this share is refused although a limit is kept to, those are chance. Then a single one above the limit
# says nothing about it, either.
CHANCE = 0.025


class Signs:
    """The refusals since a limit was found. room: the fewest in flight when one was posted that was refused.

    A limit is `held` before it is tried upwards. What is refused then is what is refused by chance, unless the limit
    turns out to be lower still; older times count half as much each time.
    """

    def __init__(self) -> None:
        self.room = math.inf
        self.held_refused = self._held_sent = 0
        self._before_refused = self._before_sent = 0.0
        self._count, self._last = 0.0, 0

    @property
    def is_more_than_one(self) -> bool:
        """Say whether there were two close together."""
        return self._count > 1

    @property
    def are_many(self) -> bool:
        """Say whether so many came close together that they are a limit."""
        return self._count >= SIGNS

    @property
    def is_one_enough(self) -> bool:
        """Say whether one alone can be no chance, since nearly none came while a limit was kept to."""
        return self._before_refused + self.held_refused <= CHANCE * (self._before_sent + self._held_sent)

    def sent(self, is_held: bool) -> None:
        """Note that a request is sent."""
        self._held_sent += is_held

    def refused(self, this: Try, is_held: bool) -> None:
        """Note that it was refused."""
        self.held_refused += is_held
        self._count -= LEAK * max(0, this.number - self._last - 1)
        if self._count <= 0:
            self._count, self.room = 0.0, math.inf
        self._count += 1
        self._last = max(self._last, this.number)
        self.room = min(self.room, this.beside - 1)

    def found(self, is_held: bool) -> None:
        """Begin anew: a limit was found."""
        if not is_held:
            self._before_refused = (self._before_refused + self.held_refused) / 2
            self._before_sent = (self._before_sent + self._held_sent) / 2
        self.room, self._count = math.inf, 0.0
        self.held_refused = self._held_sent = 0
