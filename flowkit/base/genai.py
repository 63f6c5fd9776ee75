"""OpenTelemetry's GenAI conventions: the names that we write, whether content may be recorded, and one evaluation.

The names are those of `opentelemetry.semconv._incubating.attributes.gen_ai_attributes`, which asks libraries to copy
them: its next version may drop any. A test holds the two together.
"""

from __future__ import annotations

import os

from opentelemetry.trace import Span

from flowkit.base.scale import FIVE, Scale
from flowkit.base.text import clean

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
SYSTEM = "gen_ai.system"  # what PROVIDER was called before; many viewers still read it
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_STOP = "gen_ai.request.stop_sequences"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK_S = "gen_ai.response.time_to_first_chunk"  # in seconds
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
EVALUATION = "gen_ai.evaluation.result"  # an event
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CAPTURING = ("true", "span_only", "span_and_event")  # the values that let spans have the content


def captures_content() -> bool:
    """Say whether the environment asks for messages and answers in the traces."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in CAPTURING


def record_evaluation(
    judged: Span, name: str, score: int | None, explanation: str, problem: str = "", scale: Scale = FIVE
) -> None:
    """Add one verdict to the span of the answer that it is about, as an event.

    The label is "pass" from the scale's pass mark on, "fail" below, "unscored" without a score; `problem` says why.
    """
    if not judged.is_recording():
        return
    label = "unscored" if score is None else "pass" if score >= scale.pass_mark else "fail"
    attributes: dict[str, str | float] = {EVALUATION_NAME: name, EVALUATION_LABEL: label}
    if score is not None:
        attributes[EVALUATION_SCORE] = float(score)
    elif problem:
        attributes[ERROR_TYPE] = problem
    judged.add_event(EVALUATION, {**attributes, EVALUATION_EXPLANATION: clean(explanation)})
