"""Three answers, their size and their power, enumerated exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.noninferiority import (
    Verdict,
    noninferior_paired,
    pairs_without_discord,
    size_to_settle,
)
from vla_bench.results.stats.paired import tango_interval, tango_z
from vla_bench.results.stats.power import noninferior_power

VERDICTS = [
    (10, 10, 500, 0.02, 2.049800, 0.020192, -0.015591, "pass"),
    (5, 20, 500, 0.05, 1.789311, 0.036782, -0.048184, "pass"),
    (5, 20, 500, 0.02, -1.049484, 0.853022, -0.048184, "inconclusive"),
    (60, 100, 2000, 0.03, 1.557603, 0.059664, -0.030574, "inconclusive"),
]
SIZE = [(500, 0.02, 0.02, 0.0281), (500, 0.02, 0.04, 0.0457), (500, 0.02, 0.10, 0.0486), (500, 0.02, 0.20, 0.0498)]
POWER = [
    (500, 0.02, 0.05, 0.6165), (500, 0.02, 0.10, 0.3981), (500, 0.03, 0.10, 0.6680), (500, 0.05, 0.10, 0.9651),
    (1000, 0.02, 0.05, 0.8665), (1000, 0.02, 0.10, 0.6308), (1000, 0.03, 0.10, 0.9075),
]  # fmt: skip
questions = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n), st.floats(0.005, 0.3), st.floats(0.01, 0.2))
    )
)


@pytest.mark.parametrize(("b", "c", "n", "margin", "z", "p", "lower", "verdict"), VERDICTS)
def test_verdicts_of_the_table(b, c, n, margin, z, p, lower, verdict) -> None:
    found = noninferior_paired(b, c, n, margin)
    assert tango_z(b, c, n, -margin) == pytest.approx(z, abs=1e-6)
    assert (found.p_pass, found.low) == pytest.approx((p, lower), abs=1e-6)
    assert found.verdict == verdict


def test_without_discord_a_pass_needs_so_many_pairs() -> None:
    z = [tango_z(0, 0, n, -0.02) for n in (130, 135)]
    assert z == pytest.approx([1.628822, 1.659850], abs=1e-6)
    assert [noninferior_paired(0, 0, n, 0.02).verdict for n in (130, 135)] == ["inconclusive", "pass"]
    assert [round(noninferior_paired(0, 0, n, 0.02).p_pass, 4) for n in (130, 135)] == [0.0517, 0.0485]
    assert [pairs_without_discord(m) for m in (0.01, 0.02, 0.03, 0.05)] == [268, 133, 88, 52]


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03, 0.05, 0.1])
def test_the_least_number_of_pairs_is_exact(margin: float) -> None:
    n = pairs_without_discord(margin)
    assert noninferior_paired(0, 0, n, margin).verdict is Verdict.PASS
    assert noninferior_paired(0, 0, n - 1, margin).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("n", "margin", "psi", "size"), SIZE)
def test_size_at_the_boundary(n: int, margin: float, psi: float, size: float) -> None:
    assert noninferior_power(n, margin, psi, difference=-margin) == pytest.approx(size, abs=6e-5)


def test_size_at_the_boundary_of_small_plans_stays_near_alpha() -> None:
    sizes = [noninferior_power(200, 0.05, psi, difference=-0.05) for psi in (0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3)]
    assert min(sizes) == pytest.approx(0.0264, abs=6e-5)
    assert max(sizes) <= 0.0508 + 6e-5


@pytest.mark.parametrize(("n", "margin", "psi", "power"), POWER)
def test_power_when_truly_equal(n: int, margin: float, psi: float, power: float) -> None:
    assert noninferior_power(n, margin, psi) == pytest.approx(power, abs=6e-5)


@given(questions)
def test_the_verdict_is_where_the_bounds_lie(question: tuple[int, int, int, float, float]) -> None:
    b, c, n, margin, alpha = question
    found = noninferior_paired(b, c, n, margin, alpha)
    interval = tango_interval(b, c, n, 1 - 2 * alpha)
    assert (found.low, found.high) == (interval.low, interval.high)
    if abs(found.low + margin) > 1e-9 and abs(found.high + margin) > 1e-9:
        assert (found.verdict is Verdict.PASS) == (found.low > -margin)
        assert (found.verdict is Verdict.FAIL) == (found.high < -margin)
    assert found.p_pass + found.p_fail == pytest.approx(1)


@given(questions, st.floats(0.005, 0.3))
def test_a_wider_margin_never_takes_a_pass_back(question, other: float) -> None:
    b, c, n, margin, alpha = question
    narrow, wide = min(margin, other), max(margin, other)
    if noninferior_paired(b, c, n, narrow, alpha).verdict is Verdict.PASS:
        assert noninferior_paired(b, c, n, wide, alpha).verdict is Verdict.PASS


def test_no_pairs_have_no_answer() -> None:
    assert noninferior_paired(0, 0, 0, 0.05) is None


def test_the_number_that_settles_it_settles_it() -> None:
    # 4 gained, 12 lost of 300: inconclusive at 5 points; the same rates on more pairs are not.
    found = noninferior_paired(4, 12, 300, 0.05)
    assert found.verdict is Verdict.INCONCLUSIVE
    n = size_to_settle(300, found.p_pass, power=0.5)
    more = noninferior_paired(round(4 * n / 300), round(12 * n / 300), n, 0.05)
    assert more.verdict is Verdict.PASS
    assert size_to_settle(300, found.p_pass, power=0.8) > n > 300


def test_on_the_margin_no_number_settles_it() -> None:
    assert size_to_settle(500, 0.5) is None
