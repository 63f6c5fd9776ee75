"""What is read and what is written: the lines of a data file, the rows of a run, every field declared once.

Knows file formats and records. Asks no model and computes no figure.
"""

from flowkit.data.lines import Line, read_lines
from flowkit.data.lint import lint
from flowkit.data.rows import Row, read_rows, write_rows
from flowkit.data.statements import read_statements

__all__ = ["Line", "Row", "lint", "read_lines", "read_rows", "read_statements", "write_rows"]
