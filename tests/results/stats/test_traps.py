"""Why the obvious calls are not used: each of these would put a wrong number, or none, into a table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, bootstrap, false_discovery_control
from statsmodels.stats.proportion import proportion_confint

from vla_bench.results.stats.paired import mcnemar_p
from vla_bench.results.stats.several import holm


def test_wald_covers_78_percent_at_97() -> None:
    low, high = proportion_confint(np.arange(51), 50, method="normal")
    weights = binom.pmf(np.arange(51), 50, 0.97)
    assert float(weights[(low <= 0.97) & (high >= 0.97)].sum()) == pytest.approx(0.7812, abs=6e-5)
    coverage = {0.5: 0.9351, 0.9: 0.8789, 0.95: 0.9199, 0.99: 0.3948}
    for p, expected in coverage.items():
        weights = binom.pmf(np.arange(51), 50, p)
        assert float(weights[(low <= p) & (high >= p)].sum()) == pytest.approx(expected, abs=6e-5)


def test_jeffreys_undercovers_at_95() -> None:
    low, high = proportion_confint(np.arange(51), 50, method="jeffreys")
    weights = binom.pmf(np.arange(51), 50, 0.95)
    assert float(weights[(low <= 0.95) & (high >= 0.95)].sum()) == pytest.approx(0.8853, abs=6e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_bootstrap_has_nothing_to_say_of_constant_data() -> None:
    found = bootstrap((np.ones(50),), np.mean, n_resamples=99, method="BCa", rng=np.random.default_rng(0))
    assert np.isnan(found.confidence_interval.low)
    plain = bootstrap((np.ones(50),), np.mean, n_resamples=99, method="percentile", rng=np.random.default_rng(0))
    assert plain.confidence_interval == (1.0, 1.0)


def test_false_discovery_control_is_not_holm() -> None:
    p_values = [0.001, 0.012, 0.02, 0.03, 0.2]
    assert false_discovery_control(p_values)[3] < 0.05 < holm(p_values)[3]


def test_binomtest_refuses_what_mcnemar_answers() -> None:
    from scipy.stats import binomtest

    with pytest.raises(ValueError):
        binomtest(0, 0)
    assert mcnemar_p(0, 0) == 1.0
