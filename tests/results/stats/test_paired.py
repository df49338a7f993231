"""Two policies on one plan. Values as on the statistics sheet: SciPy 1.17.1, statsmodels 0.15.0; coverage is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial
from statsmodels.stats.contingency_tables import mcnemar

from vla_bench.results.stats.paired import (
    Pairs,
    clustered_difference,
    mcnemar_mid_p,
    mcnemar_p,
    newcombe_paired,
    tango_interval,
    tango_z,
)

MCNEMAR = [
    (0, 5, 0.062500, 0.031250),
    (0, 6, 0.031250, 0.015625),
    (1, 9, 0.021484, 0.011719),
    (2, 8, 0.109375, 0.065430),
    (10, 20, 0.098737, 0.070756),
    (5, 15, 0.041389, 0.026604),
    (60, 100, 0.001954, None),
]
INTERVALS = [
    ((36, 12, 2, 0), 0.2000, (0.056930, 0.340428), (0.061112, 0.344709), (0.085474, 0.320413)),
    ((20, 12, 2, 16), 0.2000, (0.056156, 0.329207), (0.061112, 0.344709), (0.085474, 0.320413)),
    ((36, 14, 0, 0), 0.2800, (0.152840, 0.416651), (0.174742, 0.416651), (0.188939, 0.393647)),
    ((54, 0, 0, 0), 0.0, (-0.066414, 0.066414), (-0.066414, 0.066414), (-0.047712, 0.047712)),
    ((440, 20, 10, 30), 0.0200, (-0.002054, 0.043041), (-0.001563, 0.043408), (0.002071, 0.039281)),
    ((460, 10, 10, 20), 0.0, (-0.019111, 0.019111), (-0.018994, 0.018994), (-0.015591, 0.015591)),
    ((455, 5, 20, 20), -0.0300, (-0.051848, -0.010279), (-0.052198, -0.011318), (-0.048184, -0.014390)),
    ((1740, 60, 100, 100), -0.0200, (-0.032591, -0.007610), (-0.032662, -0.007695), (-0.030574, -0.009679)),
]  # fmt: skip
# p_new, p_base, discordance; coverage of Tango, Newcombe and Wald at n = 50.
COVERAGE = [
    (0.90, 0.90, 0.10, 0.9527, 0.9753, 0.9395),
    (0.95, 0.90, 0.07, 0.9767, 0.9903, 0.9346),
    (0.50, 0.50, 0.20, 0.9571, 0.9587, 0.9300),
]
NEW_ONLY = [3, 1, 0, 2, 4, 6, 1, 0, 2, 5]
BASE_ONLY = [0, 2, 1, 0, 1, 2, 1, 1, 0, 2]
cells = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda found: sum(found) > 0)
discordant = st.integers(1, 300).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)


@pytest.mark.parametrize(("b", "c", "p", "mid"), MCNEMAR)
def test_mcnemar_has_the_values_of_the_table(b: int, c: int, p: float, mid: float | None) -> None:
    assert mcnemar_p(b, c) == pytest.approx(p, abs=5e-7)
    assert mcnemar_p(c, b) == mcnemar_p(b, c)
    if mid is not None:
        assert mcnemar_mid_p(b, c) == pytest.approx(mid, abs=5e-7)


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_equals_that_of_statsmodels(b: int, c: int) -> None:
    if b + c:
        assert mcnemar_p(b, c) == pytest.approx(float(mcnemar([[9, b], [c, 9]], exact=True).pvalue), abs=1e-12)
    assert 0 < mcnemar_mid_p(b, c) <= mcnemar_p(b, c) <= 1


def test_no_discordant_pair_is_no_evidence() -> None:
    assert mcnemar_p(0, 0) == mcnemar_mid_p(0, 0) == 1.0


def test_fewer_than_six_discordant_pairs_are_never_significant() -> None:
    assert min(mcnemar_p(b, n - b) for n in range(6) for b in range(n + 1)) > 0.05
    assert mcnemar_p(6, 0) < 0.05


@pytest.mark.parametrize(("n", "size"), [(50, 0.0088), (200, 0.0294), (500, 0.0366), (2000, 0.0424)])
def test_exact_size_of_mcnemar(n: int, size: float) -> None:
    from vla_bench.results.stats.power import mcnemar_power

    assert mcnemar_power(n, 0.0, 0.1) == pytest.approx(size, abs=6e-5)


@pytest.mark.parametrize(("cell", "difference", "newcombe", "tango", "tango_90"), INTERVALS)
def test_intervals_have_the_values_of_the_table(cell, difference, newcombe, tango, tango_90) -> None:
    pairs = Pairs(*cell)
    assert pairs.difference == pytest.approx(difference)
    hybrid = newcombe_paired(*cell)
    found = tango_interval(pairs.new_only, pairs.base_only, pairs.n)
    narrow = tango_interval(pairs.new_only, pairs.base_only, pairs.n, 0.90)
    assert (hybrid.low, hybrid.high) == pytest.approx(newcombe, abs=1e-6)
    assert (found.low, found.high) == pytest.approx(tango, abs=1e-6)
    assert (narrow.low, narrow.high) == pytest.approx(tango_90, abs=1e-6)


@pytest.mark.parametrize(("p_new", "p_base", "psi", "tango", "newcombe", "wald"), COVERAGE)
def test_intervals_cover_as_often_as_the_table_says(p_new, p_base, psi, tango, newcombe, wald) -> None:
    n, delta = 50, p_new - p_base
    p_b, p_c = (psi + delta) / 2, (psi - delta) / 2
    p_a = p_new - p_b
    covered = np.zeros(3)
    for b in range(n + 1):
        for c in range(n - b + 1):
            interval = tango_interval(b, c, n)
            covered[0] += multinomial.pmf([b, c, n - b - c], n, [p_b, p_c, 1 - psi]) * (
                interval.low <= delta <= interval.high
            )
            half = 1.959964 * np.sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
            covered[2] += multinomial.pmf([b, c, n - b - c], n, [p_b, p_c, 1 - psi]) * (
                abs((b - c) / n - delta) <= half
            )
            if p_b + p_c > 0.15:
                continue
            for a in range(n - b - c + 1):
                weight = multinomial.pmf([a, b, c, n - a - b - c], n, [p_a, p_b, p_c, 1 - p_a - psi])
                if weight > 1e-9:
                    hybrid = newcombe_paired(a, b, c, n - a - b - c)
                    covered[1] += weight * (hybrid.low <= delta <= hybrid.high)
    assert covered[0] == pytest.approx(tango, abs=1e-4)
    assert covered[2] == pytest.approx(wald, abs=1e-4)
    if p_b + p_c <= 0.15:
        assert covered[1] == pytest.approx(newcombe, abs=1e-4)


@given(discordant)
def test_tango_holds_the_difference_and_is_symmetric(counts: tuple[int, int, int]) -> None:
    b, c, n = counts
    found, mirror = tango_interval(b, c, n), tango_interval(c, b, n)
    assert -1 <= found.low <= (b - c) / n <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((-mirror.high, -mirror.low), abs=1e-9)


@given(discordant, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_a_surer_interval_is_wider(counts: tuple[int, int, int], one: float, other: float) -> None:
    b, c, n = counts
    narrow, wide = tango_interval(b, c, n, min(one, other)), tango_interval(b, c, n, max(one, other))
    assert wide.low <= narrow.low + 1e-9
    assert narrow.high <= wide.high + 1e-9


@given(discordant, st.floats(-0.99, 0.99), st.floats(-0.99, 0.99))
def test_the_statistic_falls_with_the_difference_asked_about(counts, one: float, other: float) -> None:
    b, c, n = counts
    low, high = min(one, other), max(one, other)
    assert tango_z(b, c, n, low) >= tango_z(b, c, n, high) - 1e-6
    assert not np.isnan(tango_z(b, c, n, low))


def test_the_statistic_of_arrays_is_that_of_each() -> None:
    b, c = np.array([0, 5, 10]), np.array([0, 20, 10])
    assert tango_z(b, c, 500, -0.02).tolist() == [
        tango_z(int(x), int(y), 500, -0.02) for x, y in zip(b, c, strict=True)
    ]


@given(cells)
def test_newcombe_is_an_interval_around_the_difference(cell: tuple[int, int, int, int]) -> None:
    pairs, found = Pairs(*cell), newcombe_paired(*cell)
    assert -1 <= found.low <= pairs.difference + 1e-12
    assert pairs.difference - 1e-12 <= found.high <= 1


def test_nothing_has_no_interval() -> None:
    assert tango_interval(0, 0, 0) is None
    assert newcombe_paired(0, 0, 0, 0) is None
    assert Pairs(0, 0, 0, 0).difference is None
    assert clustered_difference([], []) is None


def test_impossible_counts_are_a_mistake() -> None:
    with pytest.raises(ValueError):
        tango_interval(3, 3, 5)


def test_pairs_are_counted_and_add_up() -> None:
    new, base = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    assert Pairs.of(new, base) == Pairs(2, 1, 1, 1)
    assert Pairs.of(new, base) + Pairs(1, 1, 1, 1) == Pairs(3, 2, 2, 2)


def clustered_vector() -> tuple[list[float], list[int]]:
    differences: list[float] = []
    for b, c in zip(NEW_ONLY, BASE_ONLY, strict=True):
        differences += [1.0] * b + [-1.0] * c + [0.0] * (50 - b - c)
    return differences, [task for task in range(10) for _ in range(50)]


def test_tasks_as_clusters_have_the_error_of_the_vector() -> None:
    differences, tasks = clustered_vector()
    found = clustered_difference(differences, tasks)
    assert (found.mean, found.error, found.n_clusters) == (pytest.approx(0.028), pytest.approx(0.012365, abs=1e-6), 10)
    single = clustered_difference(differences, range(500))
    assert single.error * np.sqrt(499 / 500) == pytest.approx(0.011594, abs=1e-6)
    by_task = np.array(differences).reshape(10, 50)
    assert np.sqrt(np.sum(by_task.var(axis=1) / 50)) / 10 == pytest.approx(0.011592 * np.sqrt(49 / 50), abs=2e-6)
    assert mcnemar_p(sum(NEW_ONLY), sum(BASE_ONLY)) == pytest.approx(0.024307, abs=1e-6)


def test_clusters_that_do_not_differ_have_no_error_to_see() -> None:
    assert clustered_difference([0.0] * 6, [0, 0, 1, 1, 2, 2]) is None
    assert clustered_difference([1.0, 0.0], [7, 7]) is None
