"""One request to a model: which service is asked, how fast, what it says, how long it took.

Knows services, their dialects and their limits. Knows nothing of files, statements, verdicts or runs.
"""

from flowkit.model.completion import Reply, complete_text, stream_text
from flowkit.model.configuration import Model, Service, resolve

__all__ = ["Model", "Reply", "Service", "complete_text", "resolve", "stream_text"]
