"""python -m flowkit.report RUN [BASELINE]: write report.html of a run."""

import sys

from flowkit.report.html import main

sys.exit(main())
