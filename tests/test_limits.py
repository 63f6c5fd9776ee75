"""How fast a service is asked, on a simulated clock: near its limits, with few refusals, whatever the limits are."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, product
from typing import Any

import pytest

from flowkit.model.limits import Limits
from flowkit.model.pauses import CLOSED_S, LONGEST_PAUSE_S, MOST_DOUBLED, Pause
from flowkit.model.tries import LastSecond, Try

Admits = Callable[[float, int], bool]  # time in seconds, requests in flight


def per_second(rate: int) -> Admits:
    """Admit so many in any one second."""
    recent = deque[float]()

    def admits(now_s: float, _: int) -> bool:
        while recent and recent[0] <= now_s - 1:
            recent.popleft()
        if len(recent) < rate:
            recent.append(now_s)
            return True
        return False

    return admits


def bucket(rate: float, size: float) -> Admits:
    """Admit what a bucket holds that is filled at `rate` a second up to `size`."""
    level, since_s = size, 0.0

    def admits(now_s: float, _: int) -> bool:
        nonlocal level, since_s
        level, since_s = min(size, level + (now_s - since_s) * rate), now_s
        if level < 1:
            return False
        level -= 1
        return True

    return admits


def full_bucket(rate: int) -> Admits:
    return bucket(rate, rate)


def fixed_windows(rate: int, of_s: float = 1.0) -> Admits:
    """Admit so many in each second, or other time, of the service's own clock."""
    window = [-1, 0]

    def admits(now_s: float, _: int) -> bool:
        if window[0] != int(now_s / of_s + 0.37):
            window[:] = [int(now_s / of_s + 0.37), 0]
        window[1] += 1
        return window[1] <= rate

    return admits


def at_once(most: int) -> Admits:
    return lambda _, in_flight: in_flight < most


def chance(share: float, seed: int = 3) -> Admits:
    draw = random.Random(seed)
    return lambda *_: draw.random() >= share


def both(first: Admits, second: Admits) -> Admits:
    return lambda now_s, in_flight: first(now_s, in_flight) and second(now_s, in_flight)


def until(end_s: float, limited: Admits) -> Admits:
    return lambda now_s, in_flight: now_s >= end_s or limited(now_s, in_flight)


@dataclass
class Run:
    """1,000 requests or so, 256 of them wanted at once.

    takes_s: how long one takes that is admitted, up to `uneven` of it more or less. send_s: of the client's processor.
    """

    admits: Admits
    requests: int = 1000
    takes_s: float = 0.3
    uneven: float = 0.0
    retry_after_s: float = 1.0
    send_s: float = 0.001
    refused: int = 0
    done_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits, waiting, in_flight = Limits(256), 256, 0
        coming = self.requests - waiting
        now_s, go_s, free_s = 0.0, math.inf, 0.0
        number: Iterator[int] = count()
        draw = random.Random(1)
        events: list[tuple[float, int, str, Any]] = [(0.0, next(number), "go", None)]

        def later(delay_s: float, what: str, about: Any = None) -> None:
            heapq.heappush(events, (now_s + delay_s, next(number), what, about))

        while len(self.done_s) < self.requests:
            now_s, _, what, about = heapq.heappop(events)
            if what == "posts":
                if limits.is_out_of_date(about):
                    limits.withdrawn(about)
                    waiting += 1
                else:
                    limits.posted(about, now_s)
                    later(0.003, "arrives", about)
            elif what == "arrives":
                admitted = self.admits(now_s, in_flight)
                in_flight += admitted
                takes_s = self.takes_s * (1 + self.uneven * draw.uniform(-1, 1))
                later(takes_s if admitted else 0.003, "ends" if admitted else "refused", about)
            elif what == "ends":
                in_flight -= 1
                limits.admitted(about, now_s)
                limits.ended(about)
                self.done_s.append(now_s)
                if coming:
                    coming -= 1
                    waiting += 1
                    limits.came(now_s)
            elif what == "refused":
                self.refused += 1
                limits.refused(about, now_s, self.retry_after_s)
                later(self.retry_after_s, "again")
            elif what == "again":
                waiting += 1
            elif now_s >= go_s:
                go_s = math.inf
            while waiting:
                if (wait_s := limits.wait_s(now_s, waiting)) > 0:
                    if now_s + wait_s < go_s:
                        go_s = now_s + wait_s
                        later(wait_s, "go")
                    break
                waiting -= 1
                free_s = max(free_s, now_s) + self.send_s
                later(free_s - now_s, "posts", limits.sent(now_s))

    @property
    def share_refused(self) -> float:
        return self.refused / (self.requests + self.refused)


LIMITED = [
    *((rate, per_second) for rate in (20, 50, 100, 200)),
    *((rate, full_bucket) for rate in (20, 200)),
    (100, fixed_windows),
]


@pytest.mark.parametrize("takes_s", [0.05, 0.3])
@pytest.mark.parametrize(("rate", "limited"), LIMITED)
def test_what_is_admitted_a_second_is_asked_for(rate: int, limited: Callable[[int], Admits], takes_s: float) -> None:
    run = Run(limited(rate), takes_s=takes_s)
    assert run.done_s[-1] <= 1000 / rate / 0.9
    assert run.share_refused <= 0.05


@pytest.mark.parametrize(("takes_s", "uneven"), [(1.0, 0.0), (1.0, 0.5), (3.0, 0.5)])
@pytest.mark.parametrize(("rate", "limited"), LIMITED)
def test_so_it_is_where_answers_are_long(
    rate: int, limited: Callable[[int], Admits], takes_s: float, uneven: float
) -> None:
    run = Run(limited(rate), takes_s=takes_s, uneven=uneven)
    possible = min(rate, 256 / takes_s)  # with 256 in flight
    assert run.done_s[-1] <= 1000 / possible / 0.9 + takes_s * (1 + uneven)
    assert run.share_refused <= 0.05


@pytest.mark.parametrize(("rate", "takes_s"), [(300, 0.5), (600, 0.5), (3000, 0.5), (300, 10.0), (600, 10.0)])
def test_a_minute_s_limit_is_waited_for_with_few_questions(rate: int, takes_s: float) -> None:
    run = Run(fixed_windows(rate, of_s=60), requests=4 * rate, takes_s=takes_s)
    assert run.done_s[-1] <= 4 * 60 + takes_s  # the first window is open for 38 s, the last one need not be
    assert run.share_refused <= 0.08


@pytest.mark.parametrize("uneven", [0.0, 0.5])
@pytest.mark.parametrize(
    ("most", "takes_s"),
    # 32 in 0.05 s would be more than the client can send.
    [*product([1, 4, 8, 16], [0.05]), *product([1, 4, 8, 16, 32, 50], [0.3, 3.0])],
)
def test_what_is_admitted_at_once_is_asked_for(most: int, takes_s: float, uneven: float) -> None:
    run = Run(at_once(most), takes_s=takes_s, uneven=uneven)
    assert run.done_s[-1] <= 1000 / most * (takes_s + 0.006) / 0.9
    assert run.share_refused <= 0.05


@pytest.mark.parametrize(
    ("most", "takes_s", "uneven", "send_s"),
    [(56, 0.27, 0.2, 0.0035), (60, 0.3, 0.2, 0.0035), (64, 0.3, 0.2, 0.003), (70, 0.33, 0.2, 0.0025)],
)
def test_so_it_is_by_a_client_that_is_nearly_too_slow(most: int, takes_s: float, uneven: float, send_s: float) -> None:
    run = Run(at_once(most), takes_s=takes_s, uneven=uneven, send_s=send_s)
    assert run.done_s[-1] <= 1000 / most * (takes_s + 0.006 + send_s) / 0.9
    assert run.share_refused <= 0.05


def test_no_higher_limit_is_tried_when_the_work_is_nearly_done() -> None:
    run = Run(at_once(32))
    assert run.done_s[-1] - run.done_s[-32] <= 0.5  # one that is refused would come a second later


@pytest.mark.parametrize(("share", "retry_after_s"), [(0.01, 0.5), (0.02, 1.0), (0.036, 1.0), (0.05, 0.5)])
def test_single_refusals_slow_down_nobody_else(share: float, retry_after_s: float) -> None:
    undisturbed = Run(at_once(256), requests=3000).done_s[-1]
    for seed in range(30):
        run = Run(chance(share, seed), requests=3000, retry_after_s=retry_after_s)
        assert run.done_s[-1] <= 1.5 * (undisturbed + retry_after_s), seed


@pytest.mark.parametrize(
    ("limited", "possible"),
    [
        (lambda: at_once(32), 32 / 0.306),
        (lambda: per_second(20), 20),
        (lambda: per_second(100), 100),
        (lambda: bucket(50, 50), 50),
    ],
)
def test_a_limit_is_found_and_kept_to_though_others_are_refused_by_chance(
    limited: Callable[[], Admits], possible: float
) -> None:
    for seed in range(20):
        run = Run(both(chance(0.03, seed), limited()))
        assert run.done_s[-1] <= 1000 / possible / 0.75, seed
        assert run.share_refused <= 0.12, seed  # a step too high is told from chance by four, and not by one


def test_what_passed_for_a_limit_is_none_when_as_many_are_refused_below_it() -> None:
    def admits(now_s: float, _: int) -> bool:
        return not 1 <= now_s < 1.2 and by_chance(now_s, 0)

    by_chance = chance(0.05)
    run = Run(admits, requests=6000)
    full = 256 / 0.306
    later = [at_s for at_s in run.done_s if 5 <= at_s < 6]
    assert len(later) >= 0.85 * full


@pytest.mark.parametrize("limited", [lambda: per_second(20), lambda: bucket(20, 20), lambda: at_once(8)])
@pytest.mark.parametrize("end_s", [8.0, 9.3])
def test_the_full_speed_is_back_within_five_seconds_after_a_limit_is_lifted(
    limited: Callable[[], Admits], end_s: float
) -> None:
    run = Run(until(end_s, limited()), requests=6000)
    full = 256 / 0.306
    fifth_second = [at_s for at_s in run.done_s if end_s + 5 <= at_s < end_s + 6]
    assert len(fifth_second) >= 0.9 * full


def test_a_closed_service_is_asked_now_and_then_only() -> None:
    run = Run(lambda now_s, _: now_s >= 60, requests=300, retry_after_s=10.0)
    assert run.refused < 50
    assert run.done_s[-1] < 80


def test_short_pauses_make_the_first_one_of_a_closed_service_no_longer_and_no_number_of_them_is_too_many() -> None:
    pause = Pause()
    for now_s in range(2000):  # nothing new is admitted, while long answers are still open
        pause.begin(now_s, 0.1, sent=9)
    pause.begin_closed(2000, sent=9)
    assert pause.until_s == 2000 + CLOSED_S
    for _ in range(2000):
        pause.begin_closed(2000, sent=9)
    assert pause.until_s == 2000 + CLOSED_S * 2**MOST_DOUBLED < 2000 + LONGEST_PAUSE_S


@pytest.mark.parametrize("refused", [0, 1, 7])
def test_of_the_last_second_only_what_was_sent_in_it_and_not_refused_counts(refused: int) -> None:
    last_second = LastSecond()
    tries = [Try(number, number / 10, posted_s=number / 10) for number in range(20)]
    for each in tries:
        last_second.sent(each)
    assert last_second.admitted(1.95) == 10
    last_second.refuse(tries[0])  # long ago
    last_second.refuse(Try(20, 1.9))  # never sent
    for each in tries[-refused:] if refused else []:
        last_second.refuse(each)
    assert last_second.admitted(1.95) == 10 - refused
    assert last_second.admitted(9.0) == 0


def test_one_that_is_posted_again_is_in_flight_once() -> None:
    limits = Limits(8)
    first, second = limits.sent(0.0), limits.sent(0.0)
    limits.posted(first, 0.0)
    limits.posted(first, 0.1)
    limits.ended(first)
    limits.posted(second, 0.2)
    assert (first.beside, second.beside) == (1, 1)


def test_a_refusal_after_a_pause_makes_the_rate_no_lower_for_our_having_paused() -> None:
    limits = Limits(256)

    def send(now_s: float, is_admitted: bool) -> None:
        this = limits.sent(now_s)
        limits.posted(this, now_s)
        if is_admitted:
            limits.admitted(this, now_s)
            limits.ended(this)
        else:
            limits.refused(this, now_s, None)

    for number in range(100):
        send(number / 200, is_admitted=True)
    for number in range(4):
        send(0.5 + number / 100, is_admitted=False)
    send(1.25, is_admitted=False)  # fifty are left of the last second
    for _ in range(3):
        limits.admitted(limits.sent(1.4), 1.4)
    assert limits.wait_s(1.4, waiting=9) == pytest.approx(3 / 98 - 0.02, abs=0.001)
