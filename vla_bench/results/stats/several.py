"""Several comparisons in one verdict: Holm for p-values and for e-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["e_holm", "holm", "mean_e"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: at or below alpha means rejected at family-wise level alpha.

    Valid whatever the dependence. The family is what one verdict is drawn from: the suites of one gate, the pairs of
    one table.

    Written out: statsmodels' `multipletests` collects garbage at every call, a fifth of a second each, and importing it
    imports pandas. A test holds the two equal.

    Reference: Holm 1979, Scandinavian Journal of Statistics 6.
    """
    found = np.asarray(p_values, float)
    order = np.argsort(found, kind="stable")
    adjusted = np.empty(len(found))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1)))
    return [float(p) for p in adjusted]


def e_holm(log_e_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of e-values: `1 / E` is a p-value at whatever time one looks.

    Reference: Vovk and Wang 2021, Annals of Statistics 49.
    """
    return holm([min(1.0, float(np.exp(-value))) for value in log_e_values])


def mean_e(log_e_values: Sequence[float]) -> float:
    """Logarithm of the mean e-value: an e-value for the hypothesis that all hold, under any dependence.

    Reference: Vovk and Wang 2021.
    """
    return float(np.logaddexp.reduce(np.asarray(log_e_values, float)) - np.log(len(log_e_values)))
