"""What every room needs: texts, files, errors, the score scale, traces, a background loop, fair starts.

Knows nothing of prompts, models, data or runs.
"""

from flowkit.base.errors import BadInputError
from flowkit.base.files import write_whole
from flowkit.base.scale import PASS_MARK, SCORES, as_score
from flowkit.base.text import check_text, in_one_line, shown

__all__ = ["PASS_MARK", "SCORES", "BadInputError", "as_score", "check_text", "in_one_line", "shown", "write_whole"]
