"""Chat flows that stream, a judge, batch runs and their numbers, in rooms: see ARCHITECTURE.md for the map.

base < prompt < model, data < judge, scores < bridge < run, report: a room imports from the rooms before it only.
"""

from flowkit._moved import find_moved_modules

__all__ = ["base", "bridge", "data", "judge", "model", "prompt", "report", "run", "scores"]

find_moved_modules()
