"""Answer times as counts per logarithmic bin: percentiles of many attempts without keeping every answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_bins", "merge_bins", "percentile"]

_RATIO = 1.02
"""Upper ÷ lower edge of a bin: the value given for a bin is within 1 % of every value in it."""
_SMALLEST_MS = 1e-3


def count_bins(values_ms: NDArray[np.float32]) -> dict[str, int]:
    """Count times by bin; keys are bin numbers as text, as JSON wants them. What is not finite is left out."""
    finite = np.asarray(values_ms, dtype=np.float64)
    finite = np.maximum(finite[np.isfinite(finite)], _SMALLEST_MS)
    # Not `np.unique`: an attempt has a few dozen answers, for which that takes several times as long.
    counts = Counter(np.ceil(np.log(finite) / math.log(_RATIO)).astype(int).tolist())
    return {str(number): counts[number] for number in sorted(counts)}


def merge_bins(parts: Iterable[Mapping[str, int]]) -> dict[int, int]:
    """Add up the counts of many attempts."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return {int(number): count for number, count in total.items()}


def percentile(bins: Mapping[int, int], fraction: float) -> float | None:
    """The nearest-rank percentile, milliseconds, within 1 %; None without values."""
    rank = math.ceil(fraction * sum(bins.values()))
    for number in sorted(bins):
        rank -= bins[number]
        if rank <= 0:
            return float(2 * _RATIO**number / (_RATIO + 1))
    return None
