"""The numbers of a run: means with their counts, intervals, comparisons, gates, and what people say of the judge.

Knows scores and rows. Asks nobody and draws nothing.
"""

from flowkit.scores.comparison import Comparison, compare
from flowkit.scores.gate import Gate, check_gate, parse_thresholds
from flowkit.scores.metrics import Tally, summary
from flowkit.scores.sums import Sums, sum_up

__all__ = ["Comparison", "Gate", "Sums", "Tally", "check_gate", "compare", "parse_thresholds", "sum_up", "summary"]
