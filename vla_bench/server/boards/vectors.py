"""The outcomes of a run in plan order, as few bytes: two rows are compared without reading an episode.

One signed byte an episode, compressed: 1 and 0 for success and failure, the number of subtasks done for a chain, and
-1 for an episode without a judged outcome.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.vectors import NOT_JUDGED, RunVector
from vla_bench.results.stats.paired import mcnemar_p

__all__ = ["PairCounts", "compare_vectors", "pack", "unpack"]


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Two complete runs of one plan. `b_count` episodes went better under a, `c_count` under b.

    Attributes:
        n: pairs.
        b_count, c_count: discordant pairs.
        difference: mean of a minus that of b.
        p: two-sided: exact McNemar for outcomes, Student's t over paired differences for chain lengths.
    """

    n: int
    b_count: int
    c_count: int
    difference: float
    p: float


def pack(run: RunVector) -> bytes:
    """The bytes of a run."""
    values = run.outcomes if run.lengths is None else run.lengths
    return zlib.compress(np.ascontiguousarray(values, np.int8).tobytes(), 9)


def unpack(packed: bytes) -> NDArray[np.int8]:
    """What `pack` took, int8 `[N]`."""
    return np.frombuffer(zlib.decompress(packed), np.int8)


def compare_vectors(a: NDArray[np.int8], b: NDArray[np.int8], *, is_chain: bool) -> PairCounts | None:
    """Compare two runs of one plan, episode by episode.

    Returns:
        None where they have different lengths, none, or an episode that is not judged.
    """
    if len(a) != len(b) or not len(a) or min(a.min(), b.min()) == NOT_JUDGED:
        return None
    gained = a.astype(np.int64) - b
    n, b_count, c_count = len(a), int((gained > 0).sum()), int((gained < 0).sum())
    p = _paired_t(gained) if is_chain else mcnemar_p(b_count, c_count)
    return PairCounts(n, b_count, c_count, float(gained.mean()), p)


def _paired_t(gained: NDArray[np.int64]) -> float:
    """Two-sided p of a mean difference of 0; the sign test where all differ by the same, which leaves no variance."""
    n, mean, spread = len(gained), float(gained.mean()), float(gained.std(ddof=1)) if len(gained) > 1 else 0.0
    if spread < 1e-12:
        return mcnemar_p(int((gained > 0).sum()), int((gained < 0).sum()))
    from scipy.stats import t

    return float(2 * t.sf(abs(mean) / spread * math.sqrt(n), n - 1))
