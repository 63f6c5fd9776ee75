"""What promptflow leaves out: models, prompts, budgets, streams, verdicts, metrics. Each file has one idea."""

from flowkit import repairs as repairs  # promptflow is repaired in every process that imports a flow, workers included
