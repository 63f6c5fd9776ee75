"""Inspect AI: a Task with generate() and a model_graded_qa for each statement; a second run is eval_retry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspect_ai import Task, eval_retry, task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import Scorer, mean, model_graded_qa, scorer
from inspect_ai.solver import generate

from benchmarks.peers import Result, arguments, messages, model, write

ROLES: Any = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
TEMPLATE = "[Answer]: {{answer}}\n[Statement]: {statement}\n{{instructions}}"
INSTRUCTIONS = "Say how well the statement applies. Explain, then end with 'GRADE: N' where N is from 1 to 5."
PATTERN = r"GRADE: *([1-5])"


def judge(name: str, statement: str) -> Scorer:
    """Return a scorer of that name."""

    @scorer(name=name, metrics=[mean()])  # type: ignore[untyped-decorator]
    def named() -> Scorer:
        return model_graded_qa(TEMPLATE.format(statement=statement), INSTRUCTIONS, PATTERN)

    return named()


@task  # type: ignore[untyped-decorator]
def lines_task() -> Task:
    """Return the task, made of the data file that the command names."""
    lines, _ = arguments()
    samples = [
        Sample(input=[ROLES[each["role"]](content=each["content"]) for each in messages(line)], id=line["question"])
        for line in lines
    ]
    judges = [judge(name, text) for name, text in lines[0]["statements"].items()]
    return Task(dataset=samples, solver=generate(), scorer=judges, config=GenerateConfig(temperature=0.2))


def main() -> None:
    """Evaluate, or retry what is in the folder of logs."""
    _, at_once = arguments()
    options: Any = {"max_connections": at_once, "max_samples": 2 * at_once, "display": "none", "fail_on_error": False}
    before = sorted(Path("logs").glob("*.eval"))
    if before:
        (log,) = eval_retry(str(before[-1]), log_dir="logs", **{k: v for k, v in options.items() if k != "max_samples"})
    else:
        (log,) = evaluate(lines_task(), model=f"openai/{model()}", log_dir="logs", **options)
    results = []
    for sample in log.samples or []:
        scores = {name: _number(score.value) for name, score in (sample.scores or {}).items()}
        answer = None if sample.error else sample.output.completion
        results.append(Result(str(sample.id), answer, scores))
    write(results)


def _number(value: Any) -> float | None:
    return float(value) if str(value) in "12345" else None


if __name__ == "__main__":
    main()
