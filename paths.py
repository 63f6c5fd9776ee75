"""Where the project is; importing this makes its modules importable from anywhere (the notebook does it)."""

import sys
from pathlib import Path

PROJECT = Path(__file__).absolute().parent

if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))
