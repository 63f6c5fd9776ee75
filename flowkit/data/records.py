"""The records of a run, every field declared once: what a line asks, what came of it, what all lines say together.

In memory they are frozen; on disk they are the JSON of `plain`, read again by `record`. docs/files.md describes the
files field by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, Scale, scale_named
from flowkit.data.plain import OMIT_EMPTY
from flowkit.data.plain import plain as plain
from flowkit.data.plain import record as record
from flowkit.prompt.history import Message

FORMAT = 2  # of the files in a run's folder; format 1 had other journal keys and is still read
Scalar = str | int | float | bool | None  # what a column holds that nobody reads
ENDINGS = {"length": "cut", "content_filter": "filtered"}  # by finish_reason


@dataclass(frozen=True)
class Rule:
    """How a statement is scored and weighed.

    scale: the name of a `flowkit.base.scale.Scale`. weight: in the weighted score of its line, 1 where only others
    are given one; None where none is.
    """

    scale: str = FIVE.name
    weight: float | None = field(default=None, metadata=OMIT_EMPTY)


@dataclass(frozen=True)
class Line:
    """One line of a data file: what is asked, after which history, and what the answer is judged by.

    number: 1 for the first line of the file, as an editor shows it; in a table, that of the row's last line.
    reference: what a good answer says, for the judge. inputs: what the prompt's own inputs get.
    rules: how statements are scored and weighed, by name; only for those that have a rule of their own.
    answer: one that exists, so that nothing is asked; answered_from: "data", or "run NAME". extra: all other columns.
    """

    number: int
    question: str
    chat_history: list[Message]
    statements: dict[str, str]
    reference: str | None = field(default=None, metadata=OMIT_EMPTY)
    inputs: JsonObject = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict, metadata=OMIT_EMPTY)
    answer: Answer | None = field(default=None, metadata=OMIT_EMPTY)
    answered_from: str | None = field(default=None, metadata=OMIT_EMPTY)
    extra: dict[str, Scalar] = field(default_factory=dict, metadata=OMIT_EMPTY)

    def asked(self) -> dict[str, tuple[str, Scale]]:
        """Return the text and the scale of each statement, by its name; equal ones are judged once."""
        return {
            name: (text, scale_named(self.rules[name].scale if name in self.rules else None))
            for name, text in self.statements.items()
        }


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
    """One whole answer. Of one that existed before the run, tokens and timing are None.

    finish_reason: "stop" for a finished answer, "length" or "content_filter" for one that was cut.
    history_dropped: how many messages of the history were not sent, the oldest.
    model: which model the service says has answered. refused: the model declined to answer; the text is its refusal.
    """

    text: str
    finish_reason: str | None = None
    history_dropped: int | None = None
    tokens: Tokens | None = None
    timing: Times | None = None
    model: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the judge says of one statement about one answer.

    score: on the scale, with several votes their median; None where no reply was readable. From 1 (the statement does
        not apply) to 5 (it applies fully), or 1 (pass) and 0 (fail).
    explanation: the judge's, of a vote with that score; or what was wrong with the reply.
    prompt: digest of the judge's prompt, 12 hex digits.
    read_by: the step that read the reply: "schema", "json mode" or "text"; else why it is no verdict: "cut" (by the
        token limit), "repeating" (itself until it was cut), "copied" (an example's explanation), "filtered" (withheld
        by the service), "unreadable", or "empty answer" (the judge was not asked).
    asks: how often the judge was asked in all.
    raw: the last reply of the first vote without a score; only where there is one.
    votes, spread, flips: all scores, how far they differ, how many lie on the other side of the pass mark than the
        median; only where there are several.
    tokens: of all asks together, those without a readable reply too; None where the judge was not asked.
    scale: the name of the score's scale; None for 1 to 5.
    history_dropped, reference_dropped: how many messages of the history, the oldest, and how many characters of the
        reference, the last, the judge was not shown for its token budget; only where there are any.
    """

    score: int | None
    explanation: str = ""
    prompt: str | None = None
    read_by: str = ""
    asks: int = 1
    raw: str | None = field(default=None, metadata=OMIT_EMPTY)
    votes: list[int | None] | None = field(default=None, metadata=OMIT_EMPTY)
    spread: int | None = field(default=None, metadata=OMIT_EMPTY)
    flips: int | None = field(default=None, metadata=OMIT_EMPTY)
    tokens: Tokens | None = field(default=None, metadata=OMIT_EMPTY)
    scale: str | None = field(default=None, metadata=OMIT_EMPTY)
    history_dropped: int | None = field(default=None, metadata=OMIT_EMPTY)
    reference_dropped: int | None = field(default=None, metadata=OMIT_EMPTY)


@dataclass(frozen=True)
class Row:
    """What became of one line: one line of details.jsonl.

    line: its number in the data file. The fields from `history_dropped` to `timing` are those of `Answer`, None
    without an answer. verdicts: by the statement's name, as far as there are any; None where the line was not judged.
    error: why the line is not answered, or not judged in every statement; None for a finished line.
    cost_usd: of answer and verdicts, by the models' price list; only where their prices are known.
    answered_from: "asked" in this run, "data" or "run NAME"; None without an answer, and in rows of former versions.
    rules, extra: those of the `Line`.
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
    cost_usd: float | None = field(default=None, metadata=OMIT_EMPTY)
    answered_from: str | None = field(default=None, metadata=OMIT_EMPTY)
    rules: dict[str, Rule] = field(default_factory=dict, metadata=OMIT_EMPTY)
    extra: dict[str, Scalar] = field(default_factory=dict, metadata=OMIT_EMPTY)
    reference: str | None = field(default=None, metadata=OMIT_EMPTY)
    inputs: JsonObject | None = field(default=None, metadata=OMIT_EMPTY)

    @property
    def ending(self) -> str | None:
        """How the answer ended if not as it should: "empty", "refused", "cut" or "filtered", a field of `Endings`."""
        if self.answer is None:
            return None
        if not self.answer.strip():
            return "empty"
        return "refused" if self.refused else ENDINGS.get(self.finish_reason or "")

    def distinct_verdicts(self) -> list[Verdict]:
        """Return every verdict once: statements with the same text and scale are judged once, and share it."""
        found = {(self.statements.get(name, name), each.scale): each for name, each in (self.verdicts or {}).items()}
        return list(found.values())

    def scale(self, name: str) -> Scale:
        """Return the scale of the statement `name`."""
        return scale_named(self.rules[name].scale if name in self.rules else None)

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
    answer: Answer | None = field(default=None, metadata=OMIT_EMPTY)
    verdict: Verdict | None = field(default=None, metadata=OMIT_EMPTY)


@dataclass(frozen=True)
class DataInfo:
    """Which data file a run read. sha256: the first 12 hex digits, None where it could be read only once."""

    file: str
    sha256: str | None


@dataclass(frozen=True)
class RunInfo:
    """What a run's figures are of.

    answered_by, judged_by: names of models, "nobody" where none was asked. prompts: digests by file name, 12
        hex digits.
    offline: the offline demonstration took part, so the figures measure nothing.
    finished_at: UTC, ISO 8601. engine: "local", "promptflow" or "ray".
    token_factor: how many tokens the service counted for each that we did, learned during the run; 1 for OpenAI's.
    checklist: the file of the statements for all lines, None without one.
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
    checklist: DataInfo | None = field(default=None, metadata=OMIT_EMPTY)
    prices: str | None = field(default=None, metadata=OMIT_EMPTY)
