"""Records as the JSON that stands on disk, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
OMIT_EMPTY: Mapping[str, Any] = {"omit_empty": True}  # a field that is left out of the JSON where it is None or {}


def plain(value: Any) -> Any:
    """Return a record as plain JSON values."""
    if value is None or isinstance(value, (str, int, float)):  # most are, and this runs for each field of each outcome
        return value
    if is_dataclass(value):
        return {
            name: plain(each)
            for name, omit in _layout(value.__class__)
            if (each := getattr(value, name)) not in (None, {}) or not omit
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
    return [(each.name, bool(each.metadata.get("omit_empty"))) for each in fields(kind)]
