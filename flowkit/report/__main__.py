"""python -m flowkit.report RUN [BASELINE]: write report.html of a run."""

import sys

from flowkit.base.program import exit_code_of
from flowkit.report.html import main

sys.exit(exit_code_of(main, "report"))
