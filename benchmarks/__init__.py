"""Measurements of what the tests do not time; each module with a main writes its section of RESULTS.md."""
