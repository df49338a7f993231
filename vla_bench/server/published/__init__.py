"""Figures of the five papers and of their baselines, as this project cites them: paper, table, line and protocol.

`figures` reads them, `boards` makes rows of them, `load` brings those into a database.
"""
