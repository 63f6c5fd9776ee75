"""All that knows promptflow 1.18.5: its defects, its connections, its runs.

The only room that imports promptflow, and that only where it is asked for: importing this room needs none of it.
"""

from flowkit.bridge import repairs  # in every process that imports a flow, promptflow's workers included
from flowkit.bridge.connections import configuration_for, fields_of_connection, model_name_for
from flowkit.bridge.service import keep_traces

__all__ = ["configuration_for", "fields_of_connection", "keep_traces", "model_name_for", "repairs"]
