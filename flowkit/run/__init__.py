"""A file of lines: what happens to each, on which engine, what is kept, how a run is stopped and resumed.

Knows files of lines and folders of runs. Knows no report.
"""
