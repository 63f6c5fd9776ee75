"""From a `.prompty` file and untrusted text to messages, in which that text can become nothing but text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template
from jinja2.sandbox import SandboxedEnvironment
from ruamel.yaml import YAML

from flowkit.base.json_text import JsonObject
from flowkit.prompt.history import ROLES, Message

FRONT_MATTER = re.compile(r"\s*---[ \t]*\n(.*?)^---[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
# As promptflow reads it: a role and a colon alone on a line, `# ` before it for Markdown's sake.
ROLE_LINE = re.compile(r"^[ \t]*#?[ \t]*(system|user|assistant)[ \t]*:[ \t]*\n", re.IGNORECASE | re.MULTILINE)
# What stands for a text while the template is rendered. Texts are put in afterwards and not looked at again, so none
# can pass for a token; Unicode keeps the mark for a program's own use, so no template has it.
MARK = "\ufdd0"
TOKEN = re.compile(f"{MARK}Text ([0-9]{{32}}){MARK}")  # `upper`, `lower` and `truncate` change it


@dataclass(frozen=True)
class Prompt:
    """A parsed `.prompty` file: the template, the request's parameters, the names of the inputs.

    digest: of the whole file, 12 hex digits; kept with whatever the prompt produced.
    """

    name: str
    template: str
    parameters: JsonObject
    inputs: tuple[str, ...]
    digest: str

    @classmethod
    def load(cls, path: Path) -> Prompt:
        """Read the file. Raises ValueError where it has no front matter between two `---` lines.

        Raises jinja2.TemplateSyntaxError where the template is wrong.
        """
        content = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark before the first line
        parts = FRONT_MATTER.fullmatch(content)
        if parts is None or not isinstance(head := YAML(typ="safe").load(parts[1]), dict):
            raise ValueError(f"{path.name}: expected a front matter between two lines of ---, then the prompt")
        _compiled(parts[2])  # 5 ms, and a wrong template is told now and not amid answers
        return cls(
            name=head.get("name", path.stem),
            template=parts[2],
            parameters=dict((head.get("model") or {}).get("parameters") or {}),
            inputs=tuple(head.get("inputs") or ()),
            digest=hashlib.sha256(content.encode()).hexdigest()[:12],
        )

    @property
    def max_tokens(self) -> int:
        """The longest reply the prompt allows, in tokens; 0 where it sets no limit."""
        limit = self.parameters.get("max_tokens") or self.parameters.get("max_completion_tokens")
        return int(limit or 0)

    def messages(self, **inputs: Any) -> list[Message]:
        """Render the prompt with `inputs` and return its messages.

        The template never sees the text of an input, only an opaque token in its place, so no text can open a role,
        call Jinja, name a file or slow the parser down. It may print a text and ask whether there is any.
        Raises ValueError for a missing or unknown input, and for a template
        that changes a text (`upper`, `truncate`) or looks into it (`length`, `==`).
        """
        if set(inputs) != set(self.inputs):
            raise ValueError(f"{self.name}: expected the inputs {sorted(self.inputs)}, got {sorted(inputs)}")
        texts = _Hidden(self.name)
        rendered = _compiled(self.template).render(**{name: texts.hide(value) for name, value in inputs.items()})
        head, *rest = ROLE_LINE.split(rendered if rendered.endswith("\n") else rendered + "\n")
        if head.strip():
            raise ValueError(f"{self.name}: the prompt must begin with a role line such as system:")
        roles, contents = rest[::2], rest[1::2]
        return [
            {"role": role.lower(), "content": texts.show(content.strip())}
            for role, content in zip(roles, contents, strict=True)
        ]


class _Hidden:
    """Texts and the tokens that stand for them while the template is rendered."""

    def __init__(self, prompt_name: str) -> None:
        self._misuse = f"{prompt_name}: the template changes or reads an input's text; it can only print it, whole"
        self._texts: list[str] = []

    def hide(self, value: Any) -> Any:
        """Return `value` with a stand-in for every text in it, but for a message's role."""
        if isinstance(value, str) and value:  # no text is no secret, and `if question` asks for it
            self._texts.append(value)
            return _StandIn(f"{MARK}Text {len(self._texts) - 1:032}{MARK}", self._misuse)
        if isinstance(value, dict):
            return {key: each if key == "role" and each in ROLES else self.hide(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hide(each) for each in value]
        return value

    def show(self, content: str) -> str:
        """Put the texts back."""
        if MARK in TOKEN.sub("", content):  # `{% filter %}` changes what has been printed
            raise ValueError(self._misuse)
        return TOKEN.sub(lambda found: self._texts[int(found[1])], content)


class _StandIn:
    """What the template gets for a text: it may print it and ask whether there is any, and do nothing else with it."""

    def __init__(self, token: str, misuse: str) -> None:
        self._token, self._misuse = token, misuse

    def __bool__(self) -> bool:
        return True

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError(self._misuse)

    __str__ = __repr__ = __len__ = __iter__ = __getitem__ = __eq__ = __add__ = __radd__ = __getattr__ = _refuse

    @staticmethod
    def printed(value: Any) -> Any:
        """Return what Jinja prints for `value`."""
        return value._token if isinstance(value, _StandIn) else value


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    """Compile once per template and process; compiled templates do not pickle, so no flow holds one."""
    environment = SandboxedEnvironment(trim_blocks=True, keep_trailing_newline=True, finalize=_StandIn.printed)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": str}  # `tojson` is refused as well
    return environment.from_string(template)
