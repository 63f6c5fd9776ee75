"""The project's documents, cut into what tests look at: blocks of code, tables, links."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).absolute().parent.parent
DOCUMENTS = sorted(path.relative_to(PROJECT) for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")))


def text_of(name: str | Path) -> str:
    """Return the text of a document, named as seen from the project's folder."""
    return (PROJECT / name).read_text(encoding="utf-8")


def blocks(name: str | Path, kind: str) -> list[str]:
    """Return what stands in the blocks of that kind, such as "console"."""
    return re.findall(rf"```{kind}\n(.*?)```", text_of(name), re.DOTALL)


def without_blocks(text: str) -> str:
    """Leave out the blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def sections(name: str | Path) -> dict[str, str]:
    """Return the text below each heading, up to the next one."""
    _, *parts = re.split(r"^#+ (.*)\n", without_blocks(text_of(name)), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def first_cells(section: str) -> list[str]:
    """Return the first cell of each row of a section's first table, without its heading."""
    table = re.search(r"^\|.*\n\| ---.*\n((?:\|.*\n)*)", section, re.MULTILINE)
    return [row.split("|")[1].strip() for row in table[1].splitlines()] if table else []


def links(name: str | Path) -> list[str]:
    """Return the targets of all links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", without_blocks(text_of(name)))
