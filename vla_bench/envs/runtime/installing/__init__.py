"""How a suite's own environment comes about: an interpreter, locked packages, our own wheel. `install.py` uses it."""
