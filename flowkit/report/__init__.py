"""Numbers to look at: in the terminal, as a page, in a notebook.

Knows finished rows and figures. Computes none of them and runs nothing.
"""

from flowkit.report.html import write_page, write_report
from flowkit.report.terminal import print_failures, print_figures, print_rows

__all__ = ["print_failures", "print_figures", "print_rows", "write_page", "write_report"]
