"""From a `.prompty` file, a question and a history to the messages of one request, within a token budget.

Knows templates, roles and token counts. Knows no service and sends nothing.
"""

from flowkit.prompt.budget import fitted_messages
from flowkit.prompt.history import Message, read_history
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.tokens import count_tokens

__all__ = ["Message", "Prompt", "count_tokens", "fitted_messages", "read_history"]
