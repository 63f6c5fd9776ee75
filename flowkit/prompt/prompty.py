"""From a `.prompty` file and untrusted text to messages, in which that text can become nothing but text."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Extends, Filter, FromImport, Import, Include
from jinja2.sandbox import SandboxedEnvironment
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flowkit.base.json_text import JsonObject
from flowkit.base.text import in_one_line
from flowkit.prompt.front_matter import MODELS, SERVICE, check_head, check_template
from flowkit.prompt.hidden import HiddenTexts, MisuseError, is_text, printed, trimmed
from flowkit.prompt.history import Message

FRONT_MATTER = re.compile(r"\s*---[ \t]*\n(.*?)^---[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
# As promptflow reads it: a role and a colon alone on a line, `# ` before it for Markdown's sake.
ROLE_LINE = re.compile(r"^[ \t]*#?[ \t]*(system|user|assistant)[ \t]*:[ \t]*\n", re.IGNORECASE | re.MULTILINE)
TEMPLATE_NAME = "<prompt>"  # in Python's tracebacks


@dataclass(frozen=True)
class Prompt:
    """A parsed `.prompty` file: the template, the request's parameters, the names of the inputs.

    inputs: as the file declares them; where it declares none, those of its sample as in promptflow, else those that
    the template uses. defaults: of inputs that may be left out.
    digest: of the whole file, 12 hex digits; kept with whatever the prompt produced.
    models: "model" and "azure_deployment" as the file writes them, and service: an address, a key, a connection; what
    becomes of both says `flowkit.prompt.service`. first_line: the template's, in the file.
    file: the file's name. used: the inputs that stand in the template. types: of inputs that declare theirs.
    """

    name: str
    template: str
    parameters: JsonObject
    inputs: tuple[str, ...]
    digest: str
    is_declared: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict, repr=False)
    first_line: int = 1
    file: str = ""
    used: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Prompt:
        """Read the file. Raises OSError, or ValueError that says what is wrong with it.

        It needs a front matter between two `---` lines, without a key that cannot be done
        (`flowkit.prompt.front_matter`), and a template of Jinja's.
        """
        try:
            content = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark before the first line
        except UnicodeDecodeError:
            raise ValueError(f"{path}: expected UTF-8, got other bytes; save it as UTF-8") from None
        return deepcopy(_parsed(content, path.name))  # a flow's prompt is its own, whoever changes it

    @property
    def max_tokens(self) -> int:
        """The longest reply the prompt allows, in tokens; 0 where it sets no limit."""
        limit = self.parameters.get("max_tokens") or self.parameters.get("max_completion_tokens")
        return int(limit or 0)

    def check_filled(self, names: Iterable[str]) -> None:
        """Raise ValueError where the prompt has an input without a default that is none of `names`."""
        if missing := sorted(set(self.inputs) - set(names) - set(self.defaults)):
            raise ValueError(f"{self.file}: nothing fills the input {missing[0]!r}; give it a default or take it out")

    def messages(self, **inputs: Any) -> list[Message]:
        """Render the prompt with `inputs` and return its messages.

        The template never sees the text of an input, only an opaque token in its place, so no text can open a role,
        call Jinja, name a file or slow the parser down. It may print a text, whole or trimmed, or a list or object of
        texts, and ask whether there is any. Inputs that a file without declarations does not use are passed over, as in
        promptflow.
        Raises ValueError for a missing or unknown input, and for a template, with its line in the file, that changes a
        text (`upper`, `truncate`) or looks into it (`length`, `==`).
        """
        given = {**self.defaults, **inputs}
        if set(self.inputs) - set(given) or (self.is_declared and set(given) - set(self.inputs)):
            raise ValueError(f"{self.name}: expected the inputs {sorted(self.inputs)}, got {sorted(inputs)}")
        texts = HiddenTexts(self.name)
        hidden = {name: texts.hide(given[name]) for name in self.inputs}
        try:
            rendered = _compiled(self.template).render(**hidden)
            head, *rest = ROLE_LINE.split(rendered if rendered.endswith("\n") else rendered + "\n")
            if head.strip():
                raise ValueError(f"{self.name}: the prompt must begin with a role line such as system:")
            return [
                {"role": role.lower(), "content": texts.show(content.strip())}
                for role, content in zip(rest[::2], rest[1::2], strict=True)
            ]
        except (MisuseError, TemplateError) as error:
            said = error if isinstance(error, MisuseError) else f"{self.file}: {error}"
            raise ValueError(f"{said} ({', or '.join(self._lines_of(error))})") from None

    def _lines_of(self, error: Exception) -> list[str]:
        """Return the line of the file that misuses a text; those of all filters where that is seen too late to tell."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == TEMPLATE_NAME]
        filters = _environment().parse(self.template).find_all(Filter)
        numbers = (
            [frames[-1].lineno or 1] if frames else sorted({each.lineno for each in filters if each.name != "trim"})
        )
        lines = self.template.splitlines()
        return [f"line {self.first_line + number - 1}: {lines[number - 1].strip()[:80]}" for number in numbers]


@lru_cache(maxsize=64)
def _parsed(content: str, file: str) -> Prompt:
    """Parse a prompt once per process: that takes 20 ms, and a run needs each prompt several times before it begins."""
    parts = FRONT_MATTER.fullmatch(content)
    if parts is None or not isinstance(head := _yaml(parts[1], file), dict):
        raise ValueError(f"{file}: expected a front matter between two lines of ---, then the prompt")
    check_head(head, file)
    first_line = content[: parts.start(2)].count("\n") + 1
    check_template(parts[2], file, first_line)
    try:
        _compiled(parts[2])  # 5 ms, and a wrong template is told now and not amid answers
        tree = _environment().parse(parts[2])
    except TemplateSyntaxError as error:
        raise ValueError(f"{file} line {first_line + error.lineno - 1}: {error.message}") from None
    for node in tree.find_all((Extends, FromImport, Import, Include)):
        raise ValueError(f"{file} line {first_line + node.lineno - 1}: no other template is read; write its text here")
    model, declared, sample = (head.get(part) or {} for part in ("model", "inputs", "sample"))
    configuration = model.get("configuration") or {}
    declarations = {name: each for name, each in dict(declared).items() if isinstance(each, dict)}
    names = find_undeclared_variables(tree)
    known = declared or (sample if isinstance(sample, dict) else {}) or sorted(names)
    return Prompt(
        name=head.get("name", PurePath(file).stem),
        template=parts[2],
        parameters=dict(model.get("parameters") or {}),
        inputs=tuple(known),
        digest=hashlib.sha256(content.encode()).hexdigest()[:12],
        is_declared=bool(declared),
        defaults={name: each["default"] for name, each in declarations.items() if "default" in each},
        models={name: configuration[name] for name in MODELS if configuration.get(name)},
        service={name: configuration[name] for name in SERVICE if configuration.get(name)},
        first_line=first_line,
        file=file,
        used=frozenset(names.intersection(known)),
        types={name: str(each["type"]) for name, each in declarations.items() if "type" in each},
    )


def _yaml(text: str, file: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ValueError(f"{file}: the front matter is no YAML: {in_one_line(str(error), 200)}") from None


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    """Compile once per template and process; compiled templates do not pickle, so no flow holds one."""
    environment = _environment()
    source = environment.compile(template, filename=TEMPLATE_NAME)
    return Template.from_code(environment, source, environment.make_globals(None))


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(trim_blocks=True, keep_trailing_newline=True, finalize=printed)
    environment.filters["trim"] = trimmed
    environment.tests["string"] = is_text
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": str}  # `tojson` is refused as well
    return environment
