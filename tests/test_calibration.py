"""A judge beside a person: the figures against scikit-learn and scipy, the judge from a server of ours and offline."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import offline_model
from check_list import EvalFlow
from flowkit.base.errors import BadInputError
from flowkit.data.labels import Label, read_labels
from flowkit.data.records import Verdict
from flowkit.run.calibrating import calibrate, main
from flowkit.run.folder import hold
from flowkit.scores.calibration import Calibration, measure, print_calibration
from tests.chat_server import Act, Answer, ChatServer, Status

PROJECT = Path(__file__).absolute().parent.parent
OURS = PROJECT / "labels.jsonl"
FOUR = '{"explanation": "", "score": 4}'
FIGURES = ("exact", "within_one", "kappa", "length_correlation")

Pair = tuple[int, int | None]
pairs_of_scores = st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(1, 5)), max_size=30)


def measured(pairs: Sequence[Pair], words: Sequence[int] = ()) -> Calibration:
    lengths = words or [3 + number**2 for number in range(len(pairs))]
    labels = [
        Label(number, "word " * length, "It is good.", person)
        for number, ((person, _), length) in enumerate(zip(pairs, lengths, strict=True), start=1)
    ]
    return measure(labels, [Verdict(score, "So it seems.") for _, score in pairs], "judge-1")


def quadratic_kappa(person: Sequence[int], judge: Sequence[int]) -> float:
    """1 - the mean squared distance, over what it would be if every score met every other (Cohen, 1968)."""
    seen = sum((a - b) ** 2 for a, b in zip(person, judge, strict=True)) / len(person)
    by_chance = sum((a - b) ** 2 for a in person for b in judge) / len(person) ** 2
    return 1 - seen / by_chance


@pytest.mark.slow
@given(pairs_of_scores)
def test_the_figures_agree_with_their_definitions_and_are_never_nan(pairs: list[Pair]) -> None:
    from scipy import stats  # slow to import, and only the process that runs this test needs it

    calibration = measured(pairs)
    scored = [(person, judge) for person, judge in pairs if judge is not None]
    person, judge = [a for a, _ in scored], [b for _, b in scored]
    told = json.loads(json.dumps(calibration.as_dict(), allow_nan=False))
    assert (told["labels"], told["scored"], len(told["unscored"])) == (
        len(pairs),
        len(scored),
        len(pairs) - len(scored),
    )
    assert {name for name in FIGURES if told[name] is None} == set(calibration.undefined)
    if calibration.exact is not None:
        assert calibration.exact == sum(a == b for a, b in scored) / len(scored)
        assert calibration.within_one == sum(abs(a - b) < 2 for a, b in scored) / len(scored)
    if calibration.kappa is not None:
        assert math.isclose(calibration.kappa, quadratic_kappa(person, judge), abs_tol=1e-9)
    if calibration.length_correlation is not None:
        words = [3 + number**2 for number, (_, score) in enumerate(pairs) if score is not None]
        errors = [b - a for a, b in scored]
        assert math.isclose(calibration.length_correlation, stats.pearsonr(errors, words).statistic, abs_tol=1e-9)


@given(pairs_of_scores)
def test_the_confusion_counts_every_label_once(pairs: list[Pair]) -> None:
    from sklearn.metrics import confusion_matrix  # slow to import, and only the process that runs this test needs it

    labels, table = [1, 2, 3, 4, 5, 6], measured(pairs).confusion
    person, judge = [a for a, _ in pairs], [b or 6 for _, b in pairs]  # 6: no score
    expected = confusion_matrix(person, judge, labels=labels).tolist()[:5] if pairs else [[0] * 6] * 5
    assert table == expected


@given(pairs_of_scores)
def test_no_other_constant_agrees_more_often(pairs: list[Pair]) -> None:
    calibration, person = measured(pairs), [a for a, b in pairs if b is not None]
    if not person:
        assert (calibration.best_constant, calibration.constant_exact) == (None, None)
        return
    shares = {score: person.count(score) / len(person) for score in range(1, 6)}
    best = max(shares.values())
    assert calibration.constant_exact == best
    assert calibration.best_constant == min(score for score, share in shares.items() if share == best)


def test_scores_that_nobody_gave_keep_their_distance() -> None:
    assert measured([(1, 1), (1, 5), (5, 5), (5, 4)]).kappa == pytest.approx(
        quadratic_kappa([1, 1, 5, 5], [1, 5, 5, 4])
    )


def test_a_judge_that_favours_long_answers_is_seen() -> None:
    pairs = [(3, 2), (3, 3), (3, 4), (3, 5)]
    assert measured(pairs, words=[10, 20, 30, 40]).length_correlation == pytest.approx(1)
    assert measured(pairs, words=[40, 30, 20, 10]).length_correlation == pytest.approx(-1)


FEW = "it takes two labels that the judge scored, not "
DEGENERATE: list[tuple[list[Pair], list[int], dict[str, str]]] = [
    ([], [], {"exact": "the judge scored nothing", "within_one": "the judge scored nothing", "kappa": FEW + "0"}),
    ([(4, None)], [9], {"exact": "the judge scored nothing", "kappa": FEW + "0", "length_correlation": FEW + "0"}),
    ([(4, 4)], [9], {"kappa": FEW + "1", "length_correlation": FEW + "1"}),
    ([(4, 4), (2, None)], [9, 8], {"kappa": FEW + "1", "length_correlation": FEW + "1"}),
    ([(4, 4), (4, 2)], [9, 8], {"kappa": "the person gave every answer the same score"}),
    ([(4, 3), (2, 3)], [9, 8], {"kappa": "the judge gave every answer the same score"}),
    ([(4, 4), (2, 2)], [9, 8], {"length_correlation": "the judge is off by the same everywhere"}),
    ([(4, 5), (2, 2)], [9, 9], {"length_correlation": "every answer has the same number of words"}),
    ([(4, 5), (2, 2)], [9, 8], {}),
]


@pytest.mark.parametrize(("pairs", "words", "why"), DEGENERATE)
def test_a_figure_that_cannot_be_computed_is_none_and_says_why(
    pairs: list[Pair], words: list[int], why: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = measured(pairs, words)
    assert calibration.undefined == calibration.undefined | why
    assert [getattr(calibration, name) for name in calibration.undefined] == [None] * len(calibration.undefined)
    assert bool(calibration.undefined) == bool(why)
    print_calibration(calibration)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert all(f"no {name}: {reason}" in printed for name, reason in why.items())


def test_the_constant_guesser_has_kappa_0_unless_there_is_one_score_only() -> None:
    assert measured([(4, 4), (2, 1)]).constant_kappa == 0
    assert measured([(4, 4), (4, 1)]).constant_kappa is None


def test_it_is_printed_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_calibration(measured([(1, 1), (2, 4), (5, 5), (4, 4), (3, None), (1, None), (1, None), (5, None)]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "a person's labels: 8; scored by the judge: 4; no score, left out: 4"
    assert lines[-1] == "judged by judge-1"
    assert [line for line in lines if "So it seems" in line] == [f"  line {n}: 'So it seems.'" for n in (5, 6, 7)]
    cells = [line.split() for line in lines]
    assert ["this", "judge", "95", "%", "always", "1"] in cells
    assert ["exact", "agreement", "0.75", "0.19-0.99", "0.25"] in cells
    assert ["within", "one", "0.75"] in cells
    kappa = next(line for line in cells if line[:1] == ["kappa,"])
    assert (kappa[:4], kappa[-1]) == (["kappa,", "quadratic", "weights", "0.80"], "0.00")
    assert ["person", "2", "0", "0", "0", "1", "0", "0"] in cells
    assert ["person", "5", "0", "0", "0", "0", "1", "1"] in cells


def test_the_intervals_hold_what_was_found_and_more_labels_make_them_narrower() -> None:
    pairs: list[Pair] = [(1, 1), (2, 3), (5, 5), (4, 4), (3, 3), (1, 2), (5, 4), (2, 2)]
    few, many = measured(pairs), measured(pairs * 10)
    assert few.kappa == pytest.approx(many.kappa)
    for name in ("exact", "kappa"):
        (low, high), (higher, lower) = (getattr(each, f"{name}_ci95") for each in (few, many))
        assert low < higher < getattr(few, name) < lower < high <= 1
    assert measured(pairs).kappa_ci95 == few.kappa_ci95  # the resamples are seeded


def test_labels_that_all_agree_leave_room_for_a_judge_that_errs() -> None:
    calibration = measured([(1 + i % 5, 1 + i % 5) for i in range(10)])
    assert calibration.kappa == 1
    assert calibration.kappa_ci95
    assert calibration.exact_ci95
    assert calibration.kappa_ci95[0] < 0.8
    assert calibration.exact_ci95 == pytest.approx((0.025**0.1, 1), abs=1e-5)


def test_of_labels_with_names_each_statement_is_measured_apart(capsys: pytest.CaptureFixture[str]) -> None:
    kind = [Label(i, f"Answer {i}.", "It is a.", 1 + i % 5, name="a") for i in range(10)]
    strict = [replace(label, name="b", score=5) for label in kind[:3]]
    verdicts = [Verdict(label.score) for label in kind] + [Verdict(1), Verdict(5), Verdict(None)]
    calibration = measure([*kind, *strict], verdicts, "judge-1")
    assert {name: (each.labels, each.scored, each.exact) for name, each in calibration.by_name.items()} == {
        "a": (10, 10, 1.0),
        "b": (3, 2, 0.5),
    }
    assert (calibration.by_name["b"].kappa, calibration.by_name["b"].constant_exact) == (None, 1.0)
    print_calibration(calibration)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:5] == ["b", "2", "of", "3", "0.50"] for line in lines)


def test_our_own_labels_have_every_score_and_can_be_judged_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = read_labels(OURS)
    assert {label.score for label in labels} == {1, 2, 3, 4, 5}
    calibration = calibrate(OURS, EvalFlow({"model": "offline-demo", "base_url": offline_model.start()}), tmp_path)
    assert (calibration.labels, calibration.scored, calibration.judge) == (len(labels), len(labels), "offline-demo")
    assert calibration.undefined == {}
    print_calibration(calibration)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def written(path: Path, labels: int) -> Path:
    rows = [
        {"answer": f"Answer {i}.", "statement": f"Statement {i}.", "score": i % 5 + 1, "by": "me"}
        for i in range(labels)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def judge_at(server: ChatServer) -> EvalFlow:
    return EvalFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": "sk-1", "max_retries": 0})


def asked_about(server: ChatServer) -> list[int]:
    """Return the numbers of the labels that the judge was asked about, in the order of the requests."""
    return [int(match[1]) for seen in server.requests if (match := re.search(r"Answer (\d+)\.", str(seen.messages)))]


def test_each_label_is_judged_by_its_own_answer_and_statement(server: ChatServer, tmp_path: Path) -> None:
    def act(body: dict[str, Any]) -> Act:
        asked = body["messages"][-1]["content"]
        (number,) = [i for i in range(10) if f"Answer {i}." in asked and f"Statement {i}." in asked]
        return Answer(deltas=[json.dumps({"explanation": "", "score": number % 5 + 1})], first_s=0.05 * (number % 3))

    server.usual = act
    calibration = calibrate(written(tmp_path / "labels.jsonl", 10), judge_at(server), tmp_path)
    assert (calibration.exact, calibration.kappa, calibration.scored) == (1, 1, 10)


def test_as_many_requests_are_in_flight_as_asked_for_and_the_flow_is_left_as_it_was(
    server: ChatServer, tmp_path: Path
) -> None:
    server.usual = Answer(deltas=['{"explanation": "", "score": 4}'], first_s=0.1)
    eval_flow = judge_at(server)
    calibrate(written(tmp_path / "labels.jsonl", 12), eval_flow, tmp_path, at_once=4)
    assert server.most_in_flight == 4
    assert eval_flow.model.service.max_in_flight is None


def test_a_request_that_fails_and_a_reply_that_cannot_be_read_leave_their_labels_out(
    server: ChatServer, tmp_path: Path
) -> None:
    def act(body: dict[str, Any]) -> Act:
        asked = str(body["messages"])
        if "Answer 1." in asked:
            return Status(400, "no judge today")
        return Answer(deltas=["I like it." if "Answer 3." in asked else '{"explanation": "", "score": 4}'])

    server.usual = act
    calibration = calibrate(written(tmp_path / "labels.jsonl", 5), judge_at(server), tmp_path)
    assert calibration.scored == 3
    assert list(calibration.unscored) == [2, 4]
    assert "BadRequestError" in calibration.unscored[2]
    assert "no judge today" in calibration.unscored[2]
    assert [row[5] for row in calibration.confusion] == [0, 1, 0, 1, 0]


BAD_LABELS = [
    (None, "cannot be read: No such file or directory"),
    (b"\n \n", 'is empty; expected lines such as {"answer": "Paris."'),
    (b"\xff\xfe{", "expected UTF-8"),
    (b"\n{bad", 'line 2: expected a JSON object such as {"answer": "Paris."'),
    (b"[4]", "line 1: expected a JSON object such as"),
    (b"{}", "line 1: 'answer' is missing; expected an object such as"),
    (b'{"answer": "a", "score": 4}', "line 1: 'statement' is missing"),
    (b'{"answer": "a", "statement": "b"}', "line 1: 'score' is missing"),
    (b'{"answer": null, "statement": "b", "score": 4}', "line 1: 'answer' must be text, got NoneType"),
    (b'{"answer": "\\ud800", "statement": "b", "score": 4}', "line 1: 'answer': character 0 is half of a surrogate"),
    (b'{"answer": "a", "statement": {}, "score": 4}', "line 1: 'statement' must be text, got dict"),
    (b'{"answer": "a", "statement": "b", "score": 0}', "line 1: 'score' must be a whole number from 1 to 5, got 0"),
    (b'{"answer": "a", "statement": "b", "score": 6}', "got 6"),
    (b'{"answer": "a", "statement": "b", "score": 4.5}', "got 4.5"),
    (b'{"answer": "a", "statement": "b", "score": true}', "got True"),
    (b'{"answer": "a", "statement": "b", "score": "4.5"}', "got '4.5'"),
    (b'{"answer": "a", "statement": "b", "score": null}', "got None"),
    (b'{"answer": "a", "statement": "b", "score": NaN}', "got nan"),
]


@pytest.mark.parametrize(("content", "says"), BAD_LABELS)
def test_bad_labels_get_one_clear_line_and_nothing_is_sent(
    server: ChatServer, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "labels.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError) as raised:
        calibrate(path, judge_at(server), tmp_path / "out")
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert server.requests == []
    assert not (tmp_path / "out").exists()


# --- The program


def test_what_is_judged_is_kept_and_only_what_has_no_score_is_asked_for_again(
    server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = written(tmp_path / "labels.jsonl", 6), tmp_path / "out"
    server.usual = lambda body: (
        Status(400, "no judge today")
        if "Answer 1." in str(body["messages"])
        else Answer(deltas=["I like it." if "Answer 3." in str(body["messages"]) else FOUR])
    )
    assert main([str(labels), "--out", str(out)], judge_at(server)) == 3
    printed = capsys.readouterr().out
    assert "scored by the judge: 4; no score, left out: 2" in printed
    assert printed.splitlines()[-1] == "to ask for what is missing: the same command again"
    server.requests.clear()
    server.usual = Answer(deltas=[FOUR])
    assert main([str(labels), "--out", str(out)], judge_at(server)) == 0
    assert sorted(asked_about(server)) == [1, 3]
    first = capsys.readouterr().out
    server.requests.clear()
    assert main([str(labels), "--out", str(out)], judge_at(server)) == 0
    assert server.requests == []
    assert capsys.readouterr().out == first


def test_labels_in_another_order_are_not_asked_for_again_but_by_another_judge_they_are(
    server: ChatServer, tmp_path: Path
) -> None:
    server.usual, labels = Answer(deltas=[FOUR]), written(tmp_path / "labels.jsonl", 5)
    calibrate(labels, judge_at(server), tmp_path)
    rows = labels.read_text("utf-8").splitlines()
    new = json.dumps({"answer": "Answer 9.", "statement": "Statement 9.", "score": 4})
    labels.write_text("\n".join([new, *rows[::-1]]), "utf-8")
    server.requests.clear()
    calibration = calibrate(labels, judge_at(server), tmp_path)
    assert (calibration.labels, calibration.scored, asked_about(server)) == (6, 6, [9])
    server.requests.clear()
    flow = judge_at(server)
    flow.votes = 3
    calibrate(labels, flow, tmp_path)
    assert len(server.requests) == 3 * 6


def test_what_two_people_have_judged_is_asked_for_once_and_compared_with_both(
    server: ChatServer, tmp_path: Path
) -> None:
    server.usual = Answer(deltas=[FOUR], first_s=0.05)
    (tmp_path / "labels.jsonl").write_text(
        "".join(
            json.dumps({"answer": "Paris.", "statement": "It is short.", "score": score}) + "\n" for score in (4, 5)
        )
    )
    calibration = calibrate(tmp_path / "labels.jsonl", judge_at(server), tmp_path)
    assert (calibration.scored, calibration.exact, len(server.requests)) == (2, 0.5, 1)


def test_a_torn_journal_costs_the_torn_verdict_alone(server: ChatServer, tmp_path: Path) -> None:
    server.usual, labels = Answer(deltas=[FOUR]), written(tmp_path / "labels.jsonl", 3)
    calibrate(labels, judge_at(server), tmp_path, at_once=1)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    server.requests.clear()
    assert calibrate(labels, judge_at(server), tmp_path).scored == 3
    assert asked_about(server) == [2]


def test_a_judge_that_refuses_the_key_is_not_asked_about_every_label(
    server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.usual, labels = Status(401, "Incorrect API key provided"), written(tmp_path / "labels.jsonl", 30)
    assert main([str(labels), "--out", str(tmp_path / "out"), "--concurrency", "2"], judge_at(server)) == 3
    assert len(server.requests) < 8
    assert server.most_in_flight <= 2
    printed = capsys.readouterr()
    assert "scored by the judge: 0; no score, left out: 30" in printed.out
    assert "key" in printed.err


@pytest.mark.parametrize("arguments", [[], ["a.jsonl", "b.jsonl"], ["a.jsonl", "--concurrency", "0"]])
def test_arguments_that_cannot_be_used_end_the_program_with_2(server: ChatServer, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, judge_at(server))
    assert ended.value.code == 2


def test_labels_that_cannot_be_read_and_a_folder_that_cannot_be_written_are_told_in_one_line(
    server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, file = written(tmp_path / "labels.jsonl", 1), tmp_path / "file"
    file.write_text("")
    assert main([str(tmp_path / "none.jsonl")], judge_at(server)) == 2
    assert main([str(labels), "--out", str(file)], judge_at(server)) == 2
    with hold(tmp_path / "held"):
        assert main([str(labels), "--out", str(tmp_path / "held")], judge_at(server)) == 2
    no_labels, no_folder, held = capsys.readouterr().err.splitlines()
    assert no_labels.startswith(f"calibrate: {tmp_path / 'none.jsonl'}: cannot be read")
    assert no_folder.startswith(f"calibrate: {file}: ")
    assert "another run is writing there" in held
    assert server.requests == []


def test_the_judge_sees_the_question_and_the_reference_of_a_label(server: ChatServer, tmp_path: Path) -> None:
    server.usual = Answer(deltas=[FOUR])
    labels = [
        {"answer": "Paris.", "statement": "It is right.", "score": 5, **more}
        for more in ({}, {"question": "Which capital?"}, {"question": "Which city?", "reference": "Paris."})
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    flow = EvalFlow({"model": "judge-of-labels", "base_url": server.base_url, "api_key": "sk-of-nobody"})
    assert calibrate(tmp_path / "labels.jsonl", flow, tmp_path / "out").scored == 3
    asked = ["\n".join(message["content"] for message in seen.messages) for seen in server.requests]
    assert sorted(("Which" in text, "<reference " in text) for text in asked) == [
        (False, False),
        (True, False),
        (True, True),
    ]
    calibrate(tmp_path / "labels.jsonl", flow, tmp_path / "out")
    assert len(server.requests) == 3
