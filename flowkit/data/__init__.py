"""What is read and what is written: the lines of a data file, the rows of a run, every field declared once.

Knows file formats and records. Asks no model and computes no figure.
"""

from flowkit.data.figures import Figures, read_figures
from flowkit.data.lines import read_lines
from flowkit.data.lint import lint
from flowkit.data.records import Line, Row, plain, record
from flowkit.data.rows import read_rows, write_rows
from flowkit.data.statements import read_statements

__all__ = [
    "Figures",
    "Line",
    "Row",
    "lint",
    "plain",
    "read_figures",
    "read_lines",
    "read_rows",
    "read_statements",
    "record",
    "write_rows",
]
