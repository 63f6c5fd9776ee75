"""The errors that a person can mend, and whose message alone is shown to them."""

from __future__ import annotations


class BadInputError(ValueError):
    """The data file cannot be used; the message says where, what was expected and what came."""
