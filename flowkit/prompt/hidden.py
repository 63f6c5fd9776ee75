"""Untrusted texts, hidden from the template: it gets stand-ins, and the texts take their places afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from jinja2.filters import FILTERS

from flowkit.prompt.history import ROLES

# What stands for a text while the template is rendered. Texts are put in afterwards and not looked at again, so none
# can pass for a token; Unicode keeps the mark for a program's own use, so no template has it.
MARK = "\ufdd0"
TOKEN = re.compile(f"{MARK}(Text|Trim|Repr) ([0-9]{{32}}){MARK}")  # `upper`, `lower` and `truncate` change it
MESSAGE = ("role", "content")
AS: dict[str, Callable[[str], str]] = {"Text": str, "Trim": str.strip, "Repr": repr}  # how it is put in


class MisuseError(Exception):
    """A template does with a text what it must not. No ValueError: Jinja's `int` would make 0 of that."""


class HiddenTexts:
    """Texts and the tokens that stand for them while the template is rendered."""

    def __init__(self, prompt_name: str) -> None:
        self._misuse = (
            f"{prompt_name}: the template changes or reads an input's text; it can only print it, whole or trimmed"
        )
        self._texts: list[str] = []

    def hide(self, value: Any) -> Any:
        """Return `value` with a stand-in for every text in it, but for a message's role; names stay what they are."""
        if isinstance(value, str) and value:  # no text is no secret, and `if question` asks for it
            return self._stand_in(value)
        if isinstance(value, dict):
            return {self._name(key): self._named(key, each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hide(each) for each in value]
        return value

    def _name(self, key: Any) -> Any:
        return _Name(key, self._stand_in(key)) if isinstance(key, str) and key not in MESSAGE else key

    def _named(self, key: Any, value: Any) -> Any:
        return value if key == "role" and str(value).lower() in ROLES else self.hide(value)

    def _stand_in(self, text: str) -> _StandIn:
        self._texts.append(text)
        return _StandIn(len(self._texts) - 1, self._misuse, is_blank=not text.strip())

    def show(self, content: str) -> str:
        """Put the texts back."""
        if MARK in TOKEN.sub("", content):  # `{% filter %}` changes what has been printed
            raise MisuseError(self._misuse)
        return TOKEN.sub(lambda found: AS[found[1]](self._texts[int(found[2])]), content)


class _StandIn:
    """What the template gets for a text: it may print it, trim it and ask whether there is any, and nothing else."""

    def __init__(self, position: int, misuse: str, is_blank: bool, kind: str = "Text") -> None:
        self._position, self._misuse, self._is_blank, self._kind = position, misuse, is_blank, kind

    def __bool__(self) -> bool:
        return True

    def _refuse(self, *_: object) -> NoReturn:
        raise MisuseError(self._misuse)

    __str__ = __repr__ = __len__ = __iter__ = __getitem__ = __eq__ = __add__ = __radd__ = __getattr__ = _refuse
    __hash__ = __lt__ = __gt__ = __le__ = __ge__ = __int__ = __float__ = _refuse

    def _token(self, kind: str) -> str:
        return f"{MARK}{kind} {self._position:032}{MARK}"


class _Name(str):
    """The name of a value in an object: the template may look it up and print it, and its text is put in afterwards."""

    stand_in: _StandIn

    def __new__(cls, text: str, stand_in: _StandIn) -> _Name:
        """Make a text that knows what stands for it."""
        name = super().__new__(cls, text)
        name.stand_in = stand_in
        return name


def printed(value: Any) -> Any:
    """Return what Jinja prints for `value`; a list or an object is printed as Python writes it, as Jinja does."""
    if isinstance(value, _Name):
        value = value.stand_in
    if isinstance(value, _StandIn):
        return value._token(value._kind)
    return _written(value) if isinstance(value, (list, dict)) else value


def _written(value: Any) -> str:
    if isinstance(value, _StandIn):
        return value._token("Repr")
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(each)}' for key, each in value.items())}}}"
    return repr(value)


def is_text(value: Any) -> bool:
    """Do as Jinja's test `string` does."""
    return isinstance(value, (str, _StandIn))


def trimmed(value: Any, chars: str | None = None) -> Any:
    """Do as Jinja's filter `trim` does; a text is trimmed when it is put in."""
    if not isinstance(value, _StandIn):
        return FILTERS["trim"](value, chars)
    if chars is not None:
        value._refuse()
    return "" if value._is_blank else _StandIn(value._position, value._misuse, is_blank=False, kind="Trim")
