"""What people would have given: the estimate, the sample behind it, and what is said where labels are missing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import covariance, fmean, variance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.base.errors import BadInputError
from flowkit.data.figures import HumanMean, flat_human_means, read_figures, write_figures
from flowkit.data.labels import Label, Sample, read_labels, write_sample
from flowkit.data.records import Row
from flowkit.report.terminal import print_figures
from flowkit.scores.correction import human_mean, t_quantile, tuned_weight
from flowkit.scores.people import corrected
from flowkit.scores.sample import FEWEST, MOST_PAIRS, can_be_labelled, draw
from flowkit.scores.sums import sum_up
from tests.runs import failed, row

STATEMENTS = {"a": "It is a.", "b": "It is b."}


def scored(lines: int, seed: int, noise: float) -> tuple[list[int], list[int]]:
    """Return people's scores, and those of a judge that is kind now and then and guesses with that probability."""
    chance = random.Random(seed)
    people = [chance.choices(range(1, 6), (2, 2, 3, 3, 4))[0] for _ in range(lines)]
    judge = [
        min(5, max(1, score + chance.choice((0, 0, 1)))) if chance.random() > noise else chance.randint(1, 5)
        for score in people
    ]
    return people, judge


# --- The estimate


# The last of each is what ppi-python 0.2.3 gives: ppi_mean_pointestimate(people[:n], judge[:n], judge[n:]). It brings
# numba and statsmodels along and takes three seconds to import, so its results stand here and not itself.
ORACLE = [
    (7, 30, 300, 0.6, 3.031102805),
    (8, 50, 2000, 0.2, 3.287319463),
    (9, 60, 90, 0.3, 2.983889744),
    (10, 200, 2000, 0.8, 3.379729925),
]


def ppi_plus_plus(people: Sequence[int], judge: Sequence[int], labels: int) -> float:
    """The mean of PPI++ as its paper writes it (Angelopoulos, Duchi and Zrnic, 2023, section 6)."""
    y, f, unlabelled = people[:labels], judge[:labels], judge[labels:]
    ratio = labels / len(unlabelled)
    power = covariance(y, f) * (labels - 1) / labels / ((1 + ratio) * variance(judge))
    power = min(max(power, 0), 1)
    return power * fmean(unlabelled) + fmean(a - power * b for a, b in zip(y, f, strict=True))


@pytest.mark.parametrize(("seed", "labels", "lines", "noise", "oracle"), ORACLE)
def test_the_mean_is_that_of_prediction_powered_inference(
    seed: int, labels: int, lines: int, noise: float, oracle: float
) -> None:
    people, judge = scored(lines, seed, noise)
    found = human_mean(people[:labels], judge[:labels], judge)
    assert found.weight > 0
    assert found.mean == pytest.approx(oracle, abs=1e-6)
    assert found.mean == pytest.approx(ppi_plus_plus(people, judge, labels), abs=1e-9)


def test_the_estimate_by_hand() -> None:
    people, judge = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 2, 4], [2, 2, 4, 4, 5, 1, 3, 3, 5, 5, 2, 5]
    everywhere = [*judge, *[1, 5] * 12]
    weight = tuned_weight(people, judge, everywhere)
    products = fmean(a * b for a, b in zip(people, judge, strict=True)) - fmean(people) * fmean(judge)
    assert weight == pytest.approx(products / variance(everywhere))
    rest = [a - weight * b for a, b in zip(people, judge, strict=True)]
    error = (sum((each - fmean(rest)) ** 2 for each in rest) / 10 / 12 * (1 - 12 / 36)) ** 0.5
    found = human_mean(people, judge, everywhere)
    assert found.mean == pytest.approx(weight * fmean(everywhere) + fmean(rest))
    assert found.judge_bias == pytest.approx(fmean(judge) - fmean(people))
    assert (found.labels, found.lines) == (12, 36)
    differing = 12 - max(sum(b - a == each for a, b in zip(people, judge, strict=True)) for each in range(-4, 5))
    assert differing < 8  # so the interval is the exact one, and that is wider
    assert found.ci95[1] - found.ci95[0] > 2 * t_quantile(10) * error


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(8, 2.306004), (10, 2.228139), (28, 2.048407), (100, 1.983972), (400, 1.965912)]
)
def test_the_quantile_is_students(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=5e-5)  # of any table


@given(st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(1, 5)), min_size=10, max_size=60), st.data())
@settings(max_examples=50)
def test_whatever_the_scores_are_the_interval_is_on_the_scale_around_the_mean(
    pairs: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    labels = data.draw(st.integers(10, len(pairs)))
    people, judge = [a for a, _ in pairs], [b for _, b in pairs]
    found = human_mean(people[:labels], judge[:labels], judge)
    assert 1 <= found.ci95[0] <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.ci95[1] <= 5
    alone = human_mean(people[:labels], [None] * labels, [None] * len(judge))
    assert alone.weight == 0
    assert alone.mean == pytest.approx(fmean(people[:labels]))
    assert found.ci95[1] - found.ci95[0] <= 1.03 * (alone.ci95[1] - alone.ci95[0]) + 1e-9
    if labels == len(pairs):
        assert found.ci95 == pytest.approx((found.mean, found.mean))


@pytest.mark.parametrize("judge", [[5] * 2000, [1 + i % 5 for i in range(2000)]])
def test_labels_that_hardly_differ_leave_room_for_lines_not_seen(judge: list[int]) -> None:
    found = human_mean([5] * 30, judge[:30], judge)
    assert found.mean == 5
    assert found.ci95 == pytest.approx((1 + 4 * 0.025 ** (1 / 30), 5), abs=0.01)


def test_a_judge_that_always_agreed_may_still_err_on_other_lines() -> None:
    everywhere = [1 + i % 5 for i in range(2000)]
    found = human_mean(everywhere[:30], everywhere[:30], everywhere)
    alone = human_mean(everywhere[:30], [None] * 30, [None] * 2000)
    assert 0.5 < (found.ci95[1] - found.ci95[0]) / (alone.ci95[1] - alone.ci95[0]) < 0.95


# --- The sample


def many(lines: int) -> list[Row]:
    return [row(i, STATEMENTS, [1 + i % 5, 4]) for i in range(1, lines + 1)]


def test_the_sample_is_the_same_each_time_and_another_for_other_answers() -> None:
    rows = many(300)
    sample = draw(rows)
    assert draw(rows) == sample
    assert len(sample.pairs) == len({(pair.line, pair.name) for pair in sample.pairs}) == MOST_PAIRS
    assert {pair.probability for pair in sample.pairs} == {100 / 300}
    assert sample.population == {"a": 300, "b": 300}
    assert [pair.name for pair in sample.pairs[:4]] == ["a", "b", "a", "b"]
    other = draw([replace(rows[0], answer="Another."), *rows[1:]])
    assert other.run != sample.run
    assert len(set(other.pairs) & set(sample.pairs)) >= MOST_PAIRS - 4  # the other lines keep their ranks


def test_every_line_has_the_same_chance() -> None:
    times = [0] * 40
    for seed in range(200):
        rows = [row(i, {"a": "It is."}, [3], seed) for i in range(1, 41)]
        for pair in draw(rows).pairs[:10]:
            times[pair.line - 1] += 1
    assert sum((seen - 50) ** 2 / (50 * 0.75) for seen in times) < 80  # chi-square of 39: 1 in 10,000 is larger


def test_what_has_no_answer_is_not_drawn_and_small_statements_leave_their_share_to_others() -> None:
    rows = [
        failed(1, STATEMENTS),
        row(2, STATEMENTS, [3, 3], answer=" \n"),
        *(row(i, STATEMENTS if i < 18 else {"a": "It is a."}, [3, 3][: 2 if i < 18 else 1]) for i in range(3, 400)),
    ]
    assert [can_be_labelled(each) for each in rows[:3]] == [False, False, True]
    sample = draw(rows)
    assert sample.population == {"a": 397, "b": 15}
    assert {pair.name: pair.probability for pair in sample.pairs} == {"a": 185 / 397, "b": 1.0}


def test_of_very_many_statements_some_get_labels_enough() -> None:
    forty = {f"statement {i}": f"It is {i}." for i in range(40)}
    sample = draw([row(i, forty, [3] * 40) for i in range(1, 50)])
    names = [pair.name for pair in sample.pairs]
    assert {names.count(name) for name in names} == {FEWEST}
    assert len(set(names)) == MOST_PAIRS // FEWEST


def test_a_run_without_answers_has_an_empty_sample(tmp_path: Path) -> None:
    write_sample(tmp_path, draw([failed(1, STATEMENTS)]))
    found = json.loads((tmp_path / "sample.json").read_text())
    assert (found["pairs"], found["population"]) == ([], {})


# --- Labels and figures


def labelled(rows: Sequence[Row], sample: Sample, count: int, name: str = "a") -> list[Label]:
    """Return the labels of a person who is one score stricter than the judge, of the first pairs of the sample."""
    by_line = {each.line: each for each in rows}
    pairs = [pair for pair in sample.pairs if pair.name == name][:count]
    return [
        Label(
            i,
            by_line[pair.line].answer or "",
            STATEMENTS[name],
            max(1, (by_line[pair.line].score(name) or 3) - 1),
            pair.line,
            name,
            sample.run,
            "sample",
        )
        for i, pair in enumerate(pairs, start=1)
    ]


def test_labels_of_the_sample_correct_the_mean_of_their_statement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = many(300)
    figures = corrected(sum_up(rows), rows, labelled(rows, draw(rows), 60))
    assert set(figures.human) == {"a"}
    human = figures.human["a"]
    assert (human.labels, human.lines) == (60, 300)
    assert human.judge_bias == pytest.approx(0.8, abs=0.15)
    assert human.ci95[0] <= 2.2 <= human.ci95[1]  # 1, 1, 2, 3, 4 in turn
    assert figures.notes == ("no labels of the sample: b; 10 of each are needed to tell what people would give",)
    write_figures(tmp_path, figures)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["human_a"] == human.mean
    assert [found["human_ci95_low_a"], found["human_ci95_high_a"]] == list(human.ci95)
    assert (found["human_labels_a"], found["judge_bias_a"]) == (60, human.judge_bias)
    assert read_figures(tmp_path).human == figures.human
    print_figures(figures, ["a", "b"])
    printed = capsys.readouterr().out
    assert "the averages that people would have given" in printed
    assert f"{human.mean:.2f}" in printed
    assert max(len(line) for line in printed.splitlines() if "highest" not in line) <= 80


def test_too_few_labels_correct_nothing_and_it_is_said_how_many_are_missing() -> None:
    rows = many(300)
    figures = corrected(sum_up(rows), rows, labelled(rows, draw(rows), FEWEST - 3))
    assert figures.human == {}
    assert "a: 7 labels of the sample, 3 more are needed to tell what people would give" in figures.notes


def test_of_a_few_answers_all_have_to_be_labelled() -> None:
    rows = many(4)
    labels = labelled(rows, draw(rows), 4)
    assert corrected(sum_up(rows), rows, labels[:3]).human == {}
    human = corrected(sum_up(rows), rows, labels).human["a"]
    assert human.mean == fmean(label.score for label in labels)
    assert human.ci95 == (human.mean, human.mean)


def test_labels_that_chance_did_not_choose_correct_nothing() -> None:
    rows = many(300)
    labels = labelled(rows, draw(rows), 20)
    others = [
        *(replace(label, chosen="free") for label in labels[:5]),
        *(replace(label, answer="Another answer.") for label in labels[5:10]),
        *(replace(label, line=None, name=None, chosen=None) for label in labels[10:]),
    ]
    figures = corrected(sum_up(rows), rows, others)
    assert figures.human == {}
    assert any(note.startswith("20 of 20 labels correct nothing") for note in figures.notes)


def test_two_people_of_one_pair_count_as_one_label_with_their_mean() -> None:
    rows = many(300)
    labels = labelled(rows, draw(rows), 30)
    twice = corrected(sum_up(rows), rows, [*labels, *labels]).human["a"]
    assert twice == corrected(sum_up(rows), rows, labels).human["a"]


def test_lines_that_were_added_since_leave_the_labels_valid_and_are_said() -> None:
    rows = many(300)
    labels = labelled(rows[:299], draw(rows[:299]), 40)
    figures = corrected(sum_up(rows), rows, labels)
    assert figures.human["a"].labels >= 39
    assert any("earlier state of this run" in note for note in figures.notes)


def test_a_mean_is_never_overwritten_by_a_count_of_another_statement() -> None:
    human = HumanMean(4.0, (3.0, 5.0), 12, 40, 0.5, 0.7)
    flat = flat_human_means({"x": human, "labels_x": replace(human, mean=2.0)})
    assert (flat["human_x"], flat["human_labels_x"]) == (4.0, 2.0)


def test_what_a_page_saves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    saved = {
        "answer": "A.",
        "statement": "It is a.",
        "score": 4,
        "line": 3,
        "name": "a",
        "run": "0123",
        "chosen": "free",
    }
    path.write_text(json.dumps(saved) + "\n")
    assert read_labels(path) == [Label(1, "A.", "It is a.", 4, 3, "a", "0123", "free")]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"line": "3a"}, "'line' must be a whole number, got '3a'"), ({"name": 3}, "'name' must be text, got int")],
)
def test_a_label_with_a_wrong_field_gets_one_clear_line(wrong: dict[str, object], says: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"answer": "A.", "statement": "It is a.", "score": 4, **wrong}))
    with pytest.raises(BadInputError, match=says):
        read_labels(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.jsonl", '{"answer": "A.", "statement": "It is a.", "score": 4.0, "line": 3.0, "name": NaN}'),
        ("labels.csv", "answer,statement,score,line,name\nA.,It is a.,4,3,\n"),
        ("labels.csv", "answer,statement,score,line\nA.,It is a.,4.0,3.0\n"),
    ],
)
def test_whole_numbers_are_read_as_pandas_and_tables_write_them(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (label,) = read_labels(tmp_path / name)
    assert (label.score, label.line, label.name) == (4, 3, None)


def test_a_label_whose_field_is_in_capitals_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("answer,statement,score,Reference\nA.,It is a.,4,B.\n")
    with pytest.raises(BadInputError, match="'Reference': did you mean 'reference'"):
        read_labels(tmp_path / "labels.csv")
