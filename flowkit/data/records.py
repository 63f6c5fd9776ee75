"""The records of a run, every field declared once: what a line asks, what came of it, what all lines say together.

In memory they are frozen; on disk they are the JSON of `plain`, read again by `record`. docs/files.md describes the
files field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from flowkit.base.json_text import JsonObject
from flowkit.prompt.history import Message

T = TypeVar("T")
FORMAT = 2  # of the files in a run's folder; format 1 had other journal keys and is still read
ENDINGS = {"length": "cut", "content_filter": "filtered"}  # by finish_reason
OMIT_NONE: Mapping[str, Any] = {"omit_none": True}  # a field that is left out of the JSON where it is None


@dataclass(frozen=True)
class Line:
    """One line of a data file: what is asked, after which history, and what the answer is judged by.

    number: 1 for the first line of the file, as an editor shows it; in a table, that of the row's last line.
    reference: what a good answer says, for the judge. inputs: what the prompt's own inputs get.
    """

    number: int
    question: str
    chat_history: list[Message]
    statements: dict[str, str]
    reference: str | None = field(default=None, metadata=OMIT_NONE)
    inputs: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Tokens:
    """Tokens of one request, or of several together.

    counted_by: "service", or "vocabulary" where the service does not say (of one request at least).
    """

    prompt: int | None
    completion: int | None
    counted_by: str


@dataclass(frozen=True)
class Times:
    """The times of one answer.

    asked_at: when the request went out, UTC, ISO 8601. waited_s: before that, for a place among the requests in
    flight. first_chunk_s, total_s: from then to the first text and to the end, failed tries included. chunks: pieces
    of text. chunks_per_s, tokens_per_s: once the answer had begun; None where all of it came at once.
    """

    asked_at: str
    waited_s: float
    first_chunk_s: float | None
    total_s: float | None
    chunks: int
    chunks_per_s: float | None
    tokens_per_s: float | None


@dataclass(frozen=True)
class Answer:
    """One whole answer.

    finish_reason: "stop" for a finished answer, "length" or "content_filter" for one that was cut.
    history_dropped: how many messages of the history were not sent, the oldest.
    model: which model the service says has answered. refused: the model declined to answer; the text is its refusal.
    """

    text: str
    finish_reason: str | None
    history_dropped: int
    tokens: Tokens
    timing: Times
    model: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the judge says of one statement about one answer.

    score: 1 (does not apply) to 5 (applies fully), with several votes their median; None where no reply was readable.
    explanation: the judge's, of a vote with that score; or what was wrong with the reply.
    prompt: digest of the judge's prompt, 12 hex digits.
    read_by: the step that read the reply: "schema", "json mode" or "text"; else why it is no verdict: "cut" (by the
        token limit), "repeating" (itself until it was cut), "copied" (an example's explanation), "unreadable",
        or "empty answer" (the judge was not asked).
    asks: how often the judge was asked in all.
    raw: the last reply of the first vote without a score; only where there is one.
    votes, spread, flips: all scores, how far they differ, how many lie on the other side of the pass mark than the
        median; only where there are several.
    tokens: of all asks together, those without a readable reply too; None where the judge was not asked.
    history_dropped, reference_dropped: how many messages of the history, the oldest, and how many characters of the
        reference, the last, the judge was not shown for its token budget; only where there are any.
    """

    score: int | None
    explanation: str = ""
    prompt: str | None = None
    read_by: str = ""
    asks: int = 1
    raw: str | None = field(default=None, metadata=OMIT_NONE)
    votes: list[int | None] | None = field(default=None, metadata=OMIT_NONE)
    spread: int | None = field(default=None, metadata=OMIT_NONE)
    flips: int | None = field(default=None, metadata=OMIT_NONE)
    tokens: Tokens | None = field(default=None, metadata=OMIT_NONE)
    history_dropped: int | None = field(default=None, metadata=OMIT_NONE)
    reference_dropped: int | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True)
class Row:
    """What became of one line: one line of details.jsonl.

    line: its number in the data file. The fields from `history_dropped` to `timing` are those of `Answer`, None
    without an answer. verdicts: by the statement's name, as far as there are any; None where the line was not judged.
    error: why the line is not answered, or not judged in every statement; None for a finished line.
    cost_usd: of answer and verdicts, by the models' price list; only where their prices are known.
    reference, inputs: those of `Line`; only where it has any.
    """

    line: int
    question: str
    chat_history: list[Message] | None = None  # None in rows of versions that did not keep it
    history_dropped: int | None = None
    answer: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    refused: bool = False
    tokens: Tokens | None = None
    timing: Times | None = None
    verdicts: dict[str, Verdict] | None = None
    statements: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    cost_usd: float | None = field(default=None, metadata=OMIT_NONE)
    reference: str | None = field(default=None, metadata=OMIT_NONE)
    inputs: JsonObject | None = field(default=None, metadata=OMIT_NONE)

    @property
    def ending(self) -> str | None:
        """How the answer ended if not as it should: "empty", "refused", "cut" or "filtered", a field of `Endings`."""
        if self.answer is None:
            return None
        if not self.answer.strip():
            return "empty"
        return "refused" if self.refused else ENDINGS.get(self.finish_reason or "")

    def distinct_verdicts(self) -> list[Verdict]:
        """Return every verdict once: statements with the same text are judged once, and share it."""
        return list({self.statements.get(name, name): each for name, each in (self.verdicts or {}).items()}.values())

    def score(self, name: str) -> int | None:
        """Return the score of the statement `name`; None where it is not judged or not scored."""
        verdict = (self.verdicts or {}).get(name)
        return verdict.score if verdict else None


@dataclass(frozen=True)
class JournalEntry:
    """One outcome, kept in journal.jsonl the moment it is there: an answer or a verdict.

    key: names what was asked of which model with which prompt. line: the key of the answer that it belongs to.
    """

    key: str
    line: str
    answer: Answer | None = field(default=None, metadata=OMIT_NONE)
    verdict: Verdict | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True)
class DataInfo:
    """Which data file a run read. sha256: the first 12 hex digits, None where it could be read only once."""

    file: str
    sha256: str | None


@dataclass(frozen=True)
class RunInfo:
    """What a run's figures are of.

    answered_by, judged_by: names of models. prompts: digests by file name, 12 hex digits.
    offline: the offline demonstration took part, so the figures measure nothing.
    finished_at: UTC, ISO 8601. engine: "local", "promptflow" or "ray".
    token_factor: how many tokens the service counted for each that we did, learned during the run; 1 for OpenAI's.
    prices: whose table the costs are by, such as "genai-prices 0.2.3"; None where nothing can have a price.
    """

    answered_by: str
    judged_by: str
    votes: int
    offline: bool
    prompts: dict[str, str]
    data: DataInfo
    finished_at: str = ""
    engine: str = ""
    token_factor: float = 1.0
    prices: str | None = field(default=None, metadata=OMIT_NONE)


def plain(value: Any) -> Any:
    """Return a record as plain JSON values."""
    if value is None or isinstance(value, (str, int, float)):  # most are, and this runs for each field of each outcome
        return value
    if is_dataclass(value):
        return {
            name: plain(each)
            for name, omit in _layout(value.__class__)
            if (each := getattr(value, name)) is not None or not omit
        }
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def record(kind: type[T], found: object) -> T:
    """Return the record of that kind which the JSON value `found` holds; fields that nobody declared are passed over.

    Raises ValueError that names the first field that is missing or wrong.
    """
    try:
        made: T = _adapter(cast(Any, kind)).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        raise ValueError(f"{where}: {first['msg'].lower()}") from None
    return made


@lru_cache(maxsize=32)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@lru_cache(maxsize=32)
def _layout(kind: Any) -> list[tuple[str, bool]]:
    return [(each.name, bool(each.metadata.get("omit_none"))) for each in fields(kind)]
