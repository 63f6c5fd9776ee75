"""One verdict: how the judge is asked, what its reply means.

Knows one answer and one statement. Knows no batch and no mean over lines.
"""

from flowkit.judge.asking import judge, together
from flowkit.judge.reading import Reading, parse

__all__ = ["Reading", "judge", "parse", "together"]
