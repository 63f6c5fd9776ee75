"""What every room needs: texts, files, errors, the score scale, traces, a background loop, fair starts.

Knows nothing of prompts, models, data or runs.
"""

from flowkit.base.errors import BadInputError
from flowkit.base.files import make_folder, told, write_whole
from flowkit.base.printing import speak_plainly
from flowkit.base.scale import PASS_MARK, SCORES, as_score
from flowkit.base.text import check_text, clean, in_one_line, shown, visible

__all__ = [
    "PASS_MARK",
    "SCORES",
    "BadInputError",
    "as_score",
    "check_text",
    "clean",
    "in_one_line",
    "make_folder",
    "shown",
    "speak_plainly",
    "told",
    "visible",
    "write_whole",
]
