"""Results as pandas data frames: `load` reads a database or an exported file."""

from vla_bench.results.frames.reader import Frames, load

__all__ = ["Frames", "load"]
