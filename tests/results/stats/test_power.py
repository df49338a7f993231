"""Sample sizes of the sheet; those of exact tests are checked by enumeration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.power import (
    best_of,
    detectable_paired,
    detectable_unpaired,
    mcnemar_power,
    noninferior_arm,
    noninferior_pairs,
    noninferior_power,
    paired_size,
    smallest_margin,
    unpaired_size,
    worst_discordance,
)
from vla_bench.results.stats.rates import wilson

SIZES = [
    (0.02, (3213, 4301), (1175, 1572), (1960, 2623), (3216, 4304)),
    (0.03, (1356, 1814), (521, 697), (870, 1164), (1359, 1818)),
    (0.05, (435, 582), (186, 248), (312, 417), (438, 585)),
]


@pytest.mark.parametrize(("gain", "unpaired", "psi_6", "psi_10", "independent"), SIZES)
def test_sizes_of_the_table(gain, unpaired, psi_6, psi_10, independent) -> None:
    discordance = 0.9 * (0.1 - gain) + 0.1 * (0.9 + gain)
    for power, *wanted in zip((0.8, 0.9), unpaired, psi_6, psi_10, independent, strict=True):
        found = [unpaired_size(0.9, gain, power), *(paired_size(gain, psi, power) for psi in (0.06, 0.10, discordance))]
        assert found == wanted


def test_more_sizes_of_the_sheet() -> None:
    assert [paired_size(0.02, 0.04, power) for power in (0.8, 0.9)] == [783, 1047]
    assert [unpaired_size(0.9, -gain, power) for gain in (0.02, 0.03, 0.05) for power in (0.8, 0.9)] == [
        3841, 5142, 1774, 2375, 686, 918,
    ]  # fmt: skip
    assert [unpaired_size(0.97, 0.01, power) for power in (0.8, 0.9)] == [3826, 5121]


def test_the_exact_test_needs_a_little_more() -> None:
    for n, gain in ((2043, 0.02), (920, 0.03), (337, 0.05)):
        assert mcnemar_power(n, gain, 0.1) == pytest.approx(0.80, abs=0.002)
        assert 1.03 < n / paired_size(gain, 0.1) < 1.09


def test_sizes_of_gates() -> None:
    assert [noninferior_arm(m, 0.9) for m in (0.02, 0.03, 0.05)] == [2783, 1237, 446]
    assert [noninferior_pairs(m, 0.10) for m in (0.02, 0.03, 0.05)] == [1546, 687, 248]
    assert [noninferior_pairs(m, 0.04) for m in (0.02, 0.03, 0.05)] == [619, 275, 99]


def test_detectable_differences() -> None:
    assert detectable_unpaired(500, 0.9) == pytest.approx(0.047, abs=5e-4)
    assert detectable_unpaired(2000, 0.9) == pytest.approx(0.025, abs=5e-4)
    assert detectable_paired(500, 0.1) == pytest.approx(0.0395, abs=5e-5)
    assert detectable_paired(2000, 0.1) == pytest.approx(0.020, abs=5e-4)


@pytest.mark.parametrize(("n", "half"), [(50, 0.085), (500, 0.026), (2000, 0.013)])
def test_half_widths_of_wilson(n: int, half: float) -> None:
    interval = wilson(round(0.9 * n), n)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, abs=6e-4)


def test_the_best_of_several_looks_is_too_good() -> None:
    assert [best_of(runs, 0.9, 500) for runs in (3, 5, 10, 27)] == pytest.approx([0.911, 0.915, 0.920, 0.926], abs=6e-4)
    assert [best_of(runs, 0.9, 50) for runs in (3, 5, 10, 27)] == pytest.approx([0.935, 0.947, 0.960, 0.974], abs=6e-4)
    assert best_of(1, 0.9, 50) == pytest.approx(0.9)


@given(st.floats(0.02, 0.2), st.floats(0.02, 0.3))
def test_the_smallest_margin_and_the_number_of_pairs_belong_together(margin: float, psi: float) -> None:
    n = noninferior_pairs(margin, psi)
    assert smallest_margin(n, psi) <= margin + 1e-6
    assert smallest_margin(n + 200, psi) < margin


def test_the_default_margin_is_one_that_500_episodes_decide() -> None:
    """Even for outcomes that have nothing in common at 90 %; the next smaller round margin is not."""
    from vla_bench.results.gate.thresholds import DEFAULT_MARGIN

    worst = worst_discordance(0.9)
    assert noninferior_power(500, DEFAULT_MARGIN, worst) > 0.8
    assert noninferior_power(500, 0.03, worst) < 0.5
    assert smallest_margin(500, worst) == pytest.approx(0.0472, abs=1e-4)


def test_power_rises_with_pairs_and_falls_with_discord() -> None:
    assert noninferior_power(200, 0.05, 0.1) < noninferior_power(400, 0.05, 0.1)
    assert noninferior_power(400, 0.05, 0.2) < noninferior_power(400, 0.05, 0.1)
    assert noninferior_power(100, 0.05, 0.0) == 1.0
    assert noninferior_power(40, 0.05, 0.0) == 0.0


def test_a_difference_beyond_the_discordance_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        paired_size(0.1, 0.05)
    with pytest.raises(ValueError):
        noninferior_power(100, 0.05, 0.02, difference=-0.05)
