"""Knows how the offline model answers as an assistant.

It looks at the last user message only, without regard to case or punctuation; the first line that fits decides.

| the message                                    | the answer                                            |
| ---------------------------------------------- | ----------------------------------------------------- |
| has "how many", "question(s)" and "ask(ed)"    | how many questions the user messages before it asked  |
| names Prompt flow, ChatGPT or both             | what that is, in two sentences; in one if it asks for |
|                                                | a concise answer, in six if for a detailed one        |
| is a greeting, or thanks                       | a greeting, or a welcome, and what this model is      |
| anything else                                  | that it cannot answer, and what to do about it        |

A message asks a question when it has a question mark or starts with a question word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from offline_model.words import CONCISE, plain_words, word_set

WHAT_I_AM = "I am the offline demonstration model of this tutorial, a set of fixed rules and no language model"
CANNOT_ANSWER = (
    f"{WHAT_I_AM}, so I cannot answer that. I know what Prompt flow and ChatGPT are, and can count your questions. "
    "Set OPENAI_API_KEY (or OPENAI_BASE_URL) to ask a real model."
)
INVITATION = f"{WHAT_I_AM}. Ask me what Prompt flow or ChatGPT is."

QUESTION_WORDS = word_set("what who whom whose when where why which how")
GREETINGS = word_set("hi hello hey greetings good")
GREETING_WORDS = GREETINGS | word_set("there morning afternoon evening day everyone how are you")
THANKS = word_set("thanks thank cheers")
THANKS_WORDS = THANKS | word_set("you very much so a lot for your help that this the answer")


@dataclass(frozen=True)
class Topic:
    """What there is to say about a thing, at three lengths: under 25 words, under 45, over 80."""

    names: tuple[str, ...]
    concise: str
    plain: str
    detailed: str


TOPICS = (
    Topic(
        names=("prompt flow",),
        concise="Prompt flow is a suite of development tools by Microsoft for building, evaluating and monitoring "
        "applications based on large language models.",
        plain="Prompt flow is a suite of development tools by Microsoft for building, evaluating and monitoring "
        "applications based on large language models. A flow links prompts, Python code and models; batch runs and "
        "evaluation show how well it works.",
        detailed="Prompt flow is a suite of development tools by Microsoft for building, evaluating and monitoring "
        "applications based on large language models. A flow links prompts, Python code and models into one program "
        "that can be run and debugged on a desk. A batch run sends every line of a data set through the flow. An "
        "evaluation flow then scores the results, so that two versions of a prompt can be compared by numbers. "
        "Traces show each call to a model with its inputs, outputs, tokens and time. A finished flow can be served "
        "as a web endpoint or built into a container image.",
    ),
    Topic(
        names=("chatgpt", "chat gpt"),
        concise="ChatGPT is a conversational assistant by OpenAI, released in November 2022, that answers questions "
        "and writes text and code.",
        plain="ChatGPT is a conversational assistant by OpenAI, released in November 2022 and built on the GPT family "
        "of large language models, trained with human feedback. It can answer questions and write and explain text "
        "and code, but it can be wrong.",
        detailed="ChatGPT is a conversational assistant by OpenAI, released in November 2022. It is built on the GPT "
        "family of large language models, which learn from much text to predict the words that follow. They were "
        "then trained with human feedback, so that the answers follow instructions and suit people better. ChatGPT "
        "can answer questions, write and explain text and code, and take the earlier turns of a conversation into "
        "account. It can be wrong while it sounds sure, so that facts which matter should be checked. Programs reach "
        "the same kind of models through OpenAI's interface for developers.",
    ),
)


def reply(user_texts: Sequence[str]) -> str:
    """Return the answer to the last of `user_texts`, all the user's messages with the oldest first."""
    question = user_texts[-1] if user_texts else ""
    words = plain_words(question)
    if _asks_for_count(set(words)):
        return _count(sum(_is_question(text) for text in user_texts[:-1]))
    if facts := _facts(words):
        return facts
    if _is_made_of(words, GREETINGS, GREETING_WORDS):
        return f"Hello! {INVITATION}"
    if _is_made_of(words, THANKS, THANKS_WORDS):
        return f"You are welcome! {INVITATION}"
    return CANNOT_ANSWER


def _asks_for_count(words: set[str]) -> bool:
    return all(words & group for group in ({"how"}, {"many"}, {"question", "questions"}, {"ask", "asked"}))


def _is_question(text: str) -> bool:
    return "?" in text or not QUESTION_WORDS.isdisjoint(plain_words(text)[:1])


def _count(questions: int) -> str:
    number = "no questions" if questions == 0 else "1 question" if questions == 1 else f"{questions} questions"
    return f"You asked {number} before this one."


def _facts(words: list[str]) -> str:
    text = " ".join(words)
    topics = [topic for topic in TOPICS if any(name in text for name in topic.names)]
    if "one sentence" in text or not CONCISE.isdisjoint(words):
        return " ".join(topic.concise for topic in topics)
    if "detailed" in words or "in detail" in text:
        return " ".join(topic.detailed for topic in topics)
    return " ".join(topic.plain for topic in topics)


def _is_made_of(words: list[str], openings: frozenset[str], allowed: frozenset[str]) -> bool:
    """Tell whether nothing but such words follows such an opening: "Hi, what is 2 + 2?" is no greeting."""
    return bool(words) and words[0] in openings and allowed.issuperset(words)
