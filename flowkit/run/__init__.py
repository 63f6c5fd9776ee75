"""A file of lines: what happens to each, on which engine, what is kept, how a run is stopped and resumed.

Knows files of lines and folders of runs. Knows no report.
"""

from flowkit.run.engines import Engine, Result, engine_for
from flowkit.run.options import RunOptions, read_options, resume_command

__all__ = ["Engine", "Result", "RunOptions", "engine_for", "read_options", "resume_command"]
