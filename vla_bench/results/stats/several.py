"""Several comparisons in one verdict: Holm for p-values and for e-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["e_holm", "holm", "mean_e"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: at or below alpha means rejected at family-wise level alpha.

    Valid whatever the dependence. The family is what one verdict is drawn from: the suites of one gate, the pairs of
    one table.

    Reference: Holm 1979, Scandinavian Journal of Statistics 6; statsmodels' `multipletests`.
    """
    if len(p_values) < 2:
        return [float(p) for p in p_values]
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]


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
