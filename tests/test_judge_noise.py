"""A judge that is asked several times: how far it differs from itself, in figures and in a sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from statistics import median_low, variance

import pytest

from flowkit.data.figures import read_figures
from flowkit.data.records import Row, Verdict
from flowkit.report.html import write_report
from flowkit.report.terminal import print_figures
from flowkit.scores.judge_noise import noise_of, pattern, told
from flowkit.scores.sums import Sums, sum_up
from tests.chat_server import Answer, ChatServer
from tests.desk import Desk
from tests.runs import write_run


def voted(line: int, votes: list[int | None], name: str = "a") -> Row:
    """Return a line whose statement was judged by these votes."""
    given = [vote for vote in votes if vote is not None]
    score = median_low(given) if given else None
    return Row(line, "?", [], answer="A.", verdicts={name: Verdict(score, votes=votes)}, statements={name: "It is."})


def test_a_judge_that_always_says_the_same_has_no_noise() -> None:
    noise = sum_up([voted(i, [score] * 3) for i, score in enumerate([1, 5, 4], 1)]).noise
    assert noise
    assert (noise.verdicts, noise.flipped, noise.share) == (3, 0, 0.0)


def test_where_lines_are_alike_nearly_all_of_the_variance_is_the_judges() -> None:
    chance = random.Random(3)
    noise = sum_up([voted(i, [chance.choice((2, 5)) for _ in range(3)]) for i in range(1, 400)]).noise
    assert noise
    assert noise.share is not None
    assert 0.8 < noise.share <= 1  # three votes cannot tell it closer: 0.86 is expected of them
    assert noise.flipped / noise.verdicts == pytest.approx(0.75, abs=0.06)  # all three alike: a quarter


@pytest.mark.parametrize("votes", [3, 5])
def test_the_share_is_that_of_the_medians_own_variance(votes: int) -> None:
    """Half the lines are good, half are bad; a judge moves a score by one, a vote in three each way."""
    chance = random.Random(votes)
    rows = [voted(i, [(2 if i % 2 else 4) + chance.choice((-1, 0, 1)) for _ in range(votes)]) for i in range(1, 1001)]
    medians = [median_low([chance.choice((-1, 0, 1)) for _ in range(votes)]) for _ in range(20_000)]
    noise = sum_up(rows).noise
    assert noise
    assert noise.share == pytest.approx(variance(medians) / variance([row.score("a") or 0 for row in rows]), rel=0.15)


def test_a_vote_that_could_not_be_read_is_left_out_and_one_vote_is_no_repeat() -> None:
    assert pattern(Verdict(4, votes=[5, None, 4])) == "45"
    assert pattern(Verdict(4, votes=[None, None, 4])) is None
    assert pattern(Verdict(4)) is None
    assert sum_up([voted(1, [4, None, None])]).noise is None
    assert noise_of({}) is None


def test_the_sums_of_shards_add_up_to_those_of_the_whole() -> None:
    chance = random.Random(1)
    rows = [voted(i, [chance.randint(1, 5) for _ in range(5)], f"s{i % 2}") for i in range(60)]
    whole, parts = Sums.of(rows), Sums.of(rows[:20])
    parts.add(Sums.from_dict(json.loads(json.dumps(Sums.of(rows[20:]).as_dict()))))
    assert parts.figures(["s0", "s1"]) == whole.figures(["s0", "s1"])
    assert whole.figures().noise


def test_it_is_told_in_one_sentence_in_the_table_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [voted(1, [3, 4, 4]), voted(2, [1, 1, 1]), voted(3, [5, 5, 4]), voted(4, [2, 2, 2])]
    folder = write_run(tmp_path, rows)
    figures = read_figures(folder)
    assert figures.noise
    (sentence,) = told(figures.noise)
    assert sentence.startswith("judge noise: in 1 of 4 verdicts (25 %) a vote lies on the other side of 4")
    assert sentence in write_report(folder).read_text(encoding="utf-8")
    print_figures(figures, ["a"])
    assert sentence in " ".join(capsys.readouterr().out.split())


def test_the_batch_asks_as_often_as_votes_says_and_resumes_with_as_many(server: ChatServer, tmp_path: Path) -> None:
    desk, replies = Desk(tmp_path, server, 3), iter("34544544554455445544554455")

    def act(body: dict[str, object]) -> Answer:
        if body.get("stream"):
            return Answer(deltas=["An answer."])
        return Answer(deltas=[f'{{"explanation": "", "score": {next(replies)}}}'])

    server.usual = act
    code, printed = desk.run_here("--votes", "3")
    assert code == 0, printed
    assert "judge noise: in " in printed
    assert len(server.requests) == 3 + 3 * 2 * 3
    assert {len(verdict["votes"]) for row in desk.rows() for verdict in row["verdicts"].values()} == {3}
    assert desk.metrics()["noise"]["verdicts"] == 6
    server.requests.clear()
    assert desk.run_here("--resume", "out", "--votes", "3")[0] == 0
    assert server.requests == []


@pytest.mark.parametrize(("arguments", "says"), [(["--votes", "2"], "invalid choice"), (["--labels", "none"], "none")])
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    arguments: list[str], says: str, server: ChatServer, tmp_path: Path
) -> None:
    code, printed = Desk(tmp_path, server, 1).run_here(*arguments)
    assert code == 2
    assert says in printed
    assert server.requests == []
