"""E-processes: the values of the sheet, error rates under peeking (exact where possible), seeded orders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.stats.paired import mcnemar_p
from vla_bench.results.stats.sequential import (
    anytime_bounds,
    anytime_p,
    log_e_discordant,
    log_e_inferior,
    log_e_noninferior,
    log_e_one_sided,
    permuted_plan,
    sequential_verdict,
)

DISCORDANT = [
    (0, 0, 1, 1), (1, 0, 1, 1.636620), (1, 1, 0.5, 0.5), (5, 0, 7.875000, 15.641761), (6, 0, 14.437500, 28.782666),
    (7, 0, 26.812500, 53.544467), (9, 1, 9.496094, 18.922108), (15, 5, 2.404461, 4.754081),
    (20, 10, 0.789445, 1.526724), (10, 20, 0.789445, 0.052167), (30, 10, 23.443987, 46.858709),
    (100, 60, 9.859353, 19.704058),
]  # fmt: skip
NONINFERIOR = [
    (1, 0, 0, 0.02, 1.491786), (0, 1, 0, 0.02, 0.527500), (0, 0, 50, 0.05, 4.203657), (0, 0, 100, 0.05, 24.818659),
    (0, 0, 200, 0.02, 11.193260), (5, 5, 490, 0.02, 20.821403), (10, 20, 470, 0.05, 9.265974),
    (10, 10, 480, 0.05, 18330.743743),
]  # fmt: skip
INFERIOR = [(5, 30, 465, 0.02, 19.215848), (2, 40, 458, 0.02, 66579.165344), (0, 0, 50, 0.05, 0.386705)]
differences = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0]), min_size=1, max_size=80)


def outcomes(b: int, c: int, ties: int) -> list[int]:
    return [1] * b + [-1] * c + [0] * ties


@pytest.mark.parametrize(("b", "c", "e", "one_sided"), DISCORDANT)
def test_discordant_pairs_have_the_values_of_the_table(b: int, c: int, e: float, one_sided: float) -> None:
    assert math.exp(log_e_discordant(b, c)) == pytest.approx(e, abs=1e-6)
    assert math.exp(log_e_one_sided(b, c)) == pytest.approx(one_sided, abs=1e-6)


@pytest.mark.parametrize(("b", "c", "ties", "margin", "e"), NONINFERIOR)
def test_non_inferiority_has_the_values_of_the_table(b, c, ties, margin, e) -> None:
    assert math.exp(log_e_noninferior(outcomes(b, c, ties), margin)[-1]) == pytest.approx(e, rel=1e-6)


@pytest.mark.parametrize(("b", "c", "ties", "margin", "e"), INFERIOR)
def test_the_mirror_has_the_values_of_the_table(b, c, ties, margin, e) -> None:
    assert math.exp(log_e_inferior(outcomes(b, c, ties), margin)[-1]) == pytest.approx(e, rel=1e-6)


def test_ties_alone_pass_after_so_many_pairs() -> None:
    answers = [sequential_verdict([0] * 600, margin) for margin in (0.01, 0.02, 0.03, 0.05)]
    assert [answer.n_used for answer in answers] == [484, 241, 160, 95]
    assert {answer.verdict for answer in answers} == {Verdict.PASS}


def test_a_shut_out_stops_after_so_many_discordant_pairs() -> None:
    for alpha, two_sided, one_sided in ((0.05, 7, 6), (0.01, 10, 8)):
        assert next(b for b in range(20) if log_e_discordant(b, 0) >= -math.log(alpha)) == two_sided
        assert next(b for b in range(20) if log_e_one_sided(b, 0) >= -math.log(alpha)) == one_sided


def test_a_finite_plan_has_the_values_of_the_vector() -> None:
    assert math.exp(log_e_noninferior([0] * 60, 0.05, 100)[-1]) == pytest.approx(18.902162, abs=1e-5)
    assert math.exp(log_e_noninferior([0] * 80, 0.05, 100)[-1]) == pytest.approx(354.464806, abs=1e-4)
    assert math.exp(log_e_noninferior([0] * 200, 0.02, 500)[-1]) == pytest.approx(25.296392, abs=1e-5)
    assert sequential_verdict([0] * 200, 0.02, plan_size=500).n_used == 191
    assert math.exp(log_e_noninferior([1, -1] + [0] * 248, 0.02, 500)[-1]) == pytest.approx(38.330083, abs=1e-5)


def test_a_plan_that_cannot_reach_the_margin_any_more_is_settled() -> None:
    # 60 gains in a plan of 100: even 40 losses leave a gain.
    assert math.isinf(log_e_noninferior([1] * 60, 0.05, 100)[-1])


def walk(boundary, theta: float, n_pairs: int) -> float:
    """Chance that a walk of discordant pairs ever crosses, by dynamic programming over (b, c)."""
    alive, crossed = np.array([1.0]), 0.0
    for n in range(1, n_pairs + 1):
        moved = np.zeros(n + 1)
        moved[1:] += alive * theta
        moved[:-1] += alive * (1 - theta)
        hit = np.array([boundary(b, n - b) for b in range(n + 1)])
        crossed += float(moved[hit].sum())
        moved[hit] = 0
        alive = moved
    return crossed


@pytest.mark.parametrize(("n", "alarms"), [(10, 0.0547), (20, 0.1066), (50, 0.1712), (100, 0.2273)])
def test_looking_at_a_p_value_again_and_again_raises_false_alarms(n: int, alarms: float) -> None:
    assert walk(lambda b, c: mcnemar_p(b, c) <= 0.05, 0.5, n) == pytest.approx(alarms, abs=6e-5)


@pytest.mark.parametrize(("n", "alarms"), [(50, 0.02797), (100, 0.03107)])
def test_an_e_process_does_not(n: int, alarms: float) -> None:
    assert walk(lambda b, c: log_e_discordant(b, c) >= math.log(20), 0.5, n) == pytest.approx(alarms, abs=6e-6)


@pytest.mark.slow
def test_type_one_error_over_hundreds_of_pairs() -> None:
    from scipy.special import betaln

    def boundary(b: int, c: int) -> bool:
        return bool((b + c) * math.log(2) + betaln(b + 0.5, c + 0.5) - betaln(0.5, 0.5) >= math.log(20))

    assert walk(boundary, 0.5, 500) == pytest.approx(0.03542, abs=6e-6)
    one_sided = {(b, n - b): log_e_one_sided(b, n - b) >= math.log(20) for n in range(1, 301) for b in range(n + 1)}
    assert walk(lambda b, c: one_sided[b, c], 0.5, 300) < 0.03533
    assert walk(lambda b, c: one_sided[b, c], 0.45, 300) < 0.01178


@pytest.mark.slow
@pytest.mark.parametrize(
    ("margin", "psi", "expected"), [(0.02, 0.04, 0.0375), (0.03, 0.10, 0.0398), (0.05, 0.10, 0.0372)]
)
def test_false_passes_at_the_margin_under_a_look_after_every_pair(margin: float, psi: float, expected: float) -> None:
    rng, n_runs, n_pairs, passed = np.random.default_rng(11), 1000, 1000, 0
    shares = [(psi - margin) / 2, 1 - psi, (psi + margin) / 2]
    for _ in range(n_runs):
        drawn = rng.choice([1, 0, -1], size=n_pairs, p=shares)
        passed += sequential_verdict(drawn, margin).verdict is Verdict.PASS
    # 2000 pairs and 4000 runs on the sheet: half as many pairs cross less often, never more.
    assert passed / n_runs <= expected + 0.02
    assert passed / n_runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / n_runs)


@pytest.mark.slow
def test_false_passes_of_a_plan_whose_tasks_differ() -> None:
    # Ten tasks, half far better and half far worse than the baseline, at the margin on average; a permuted plan.
    rng, n_runs, passed, failed = np.random.default_rng(5), 600, 0, 0
    means = np.array([0.25] * 5 + [-0.35] * 5)
    for run in range(n_runs):
        plan = np.concatenate([rng.choice([1, -1], size=40, p=[(1 + m) / 2, (1 - m) / 2]) for m in means])
        passed += sequential_verdict(plan[permuted_plan(400, run)], 0.05).verdict is Verdict.PASS
        better = np.concatenate([rng.choice([1, -1], size=40, p=[(1 + m) / 2, (1 - m) / 2]) for m in means])
        failed += sequential_verdict(better[permuted_plan(400, run)], 0.05).verdict is Verdict.FAIL
    assert passed / n_runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / n_runs)
    assert failed / n_runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / n_runs)


@pytest.mark.slow
@pytest.mark.parametrize(("b", "c", "most"), [(5, 15, 0.0265), (20, 30, 0.0275)])
def test_false_passes_of_a_finite_plan_at_the_margin(b: int, c: int, most: float) -> None:
    rng, n_runs, passed = np.random.default_rng(2), 1000, 0
    plan = np.array(outcomes(b, c, 500 - b - c))
    for _ in range(n_runs):
        passed += sequential_verdict(rng.permutation(plan), 0.02, plan_size=500).verdict is Verdict.PASS
    assert passed / n_runs <= most + 2 * math.sqrt(0.03 * 0.97 / n_runs)


@given(differences, st.floats(0.01, 0.5))
def test_more_evidence_for_a_wider_margin(found: list[float], margin: float) -> None:
    narrow, wide = log_e_noninferior(found, margin / 2), log_e_noninferior(found, margin)
    assert np.all(wide >= narrow - 1e-9)
    assert not np.isnan(narrow).any()


@given(differences, st.floats(0.01, 0.5))
def test_the_mirror_of_the_mirror(found: list[float], margin: float) -> None:
    assert log_e_inferior(found, margin).tolist() == log_e_noninferior([-d for d in found], -margin).tolist()


@given(differences)
def test_bounds_hold_the_mean_and_are_within_the_range(found: list[float]) -> None:
    low, high = anytime_bounds(found)
    assert -1 <= low <= np.mean(found) + 1e-9
    assert np.mean(found) - 1e-9 <= high <= 1


def test_bounds_are_where_the_verdict_turns() -> None:
    found = outcomes(3, 5, 292)
    low, _ = anytime_bounds(found)
    assert sequential_verdict(found, -low + 1e-6).verdict is Verdict.PASS
    assert sequential_verdict(found, -low - 1e-6).verdict is not Verdict.PASS


def test_what_is_lost_speaks_for_neither_side() -> None:
    found = np.zeros(120)
    worst, best = found.copy(), found.copy()
    worst[:8], best[:8] = -1, 1
    assert sequential_verdict(found, 0.05).verdict is Verdict.PASS
    assert sequential_verdict(found, 0.05, worst=worst, best=best).verdict is Verdict.INCONCLUSIVE


def test_an_anytime_p_value_never_rises() -> None:
    path = log_e_noninferior(outcomes(2, 2, 200), 0.05)
    p_values = [anytime_p(path[: i + 1]) for i in range(len(path))]
    assert p_values == sorted(p_values, reverse=True)
    assert anytime_p([]) == 1.0


def test_nothing_is_no_answer() -> None:
    answer = sequential_verdict([], 0.05)
    assert (answer.verdict, answer.n_used) == (Verdict.INCONCLUSIVE, 0)


def test_an_order_is_that_of_its_seed() -> None:
    assert permuted_plan(50, 1).tolist() == permuted_plan(50, 1).tolist() != permuted_plan(50, 2).tolist()
    assert sorted(permuted_plan(50, 1)) == list(range(50))


def test_every_order_is_as_likely() -> None:
    orders = [tuple(permuted_plan(3, seed)) for seed in range(1200)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 6
    assert counts.min() > 150
