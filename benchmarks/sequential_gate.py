"""How often a sequential gate errs although it looks after every pair, and how many episodes it saves.

    python benchmarks/sequential_gate.py [--runs 4000] [--tasks 10] [--trials 50]

Plans of some tasks with some trials each, in a fresh seeded permutation per run, as the gate does. Tasks are alike, or
differ (half of them better, half worse, the mean where it is said). At the margin itself either answer is an error; it
may happen in 5 % of runs at most. The baseline is the fixed gate, which runs every pair.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.noninferiority import Verdict, noninferior_paired
from vla_bench.results.stats.sequential import permuted_plan, sequential_verdict

ALPHA = 0.05
SPREAD = 0.15
"""Where tasks differ: by how much the difference of a task lies above or below the mean."""


def drawn_plan(rng: np.random.Generator, means: NDArray[np.float64], psi: float, n_trials: int) -> NDArray[np.int64]:
    """Differences of one plan, task by task: discordant with probability `psi`, more where a task's mean wants it."""
    parts = []
    for mean in means:
        share = max(psi, abs(mean))
        chances = [(share + mean) / 2, 1 - share, (share - mean) / 2]
        parts.append(rng.choice([1, 0, -1], size=n_trials, p=chances))
    return np.concatenate(parts)


def simulate(margin: float, psi: float, mean: float, *, spread: float, n_runs: int, n_tasks: int, n_trials: int) -> str:
    """One row: shares of either answer, mean pairs run, and what the fixed gate says of the whole plans."""
    rng = np.random.default_rng(17)
    signs = np.resize([1.0, -1.0], n_tasks)
    means = mean + spread * signs
    n = n_tasks * n_trials
    counts, fixed, used = dict.fromkeys(Verdict, 0), dict.fromkeys(Verdict, 0), 0
    for run in range(n_runs):
        plan = drawn_plan(rng, means, psi, n_trials)
        answer = sequential_verdict(plan[permuted_plan(n, run)], margin, ALPHA)
        counts[answer.verdict] += 1
        used += answer.n_used
        whole = noninferior_paired(int((plan == 1).sum()), int((plan == -1).sum()), n, margin, ALPHA)
        assert whole is not None
        fixed[whole.verdict] += 1
    kind = "differ" if spread else "alike"
    return (
        f"{margin:.2f}  {psi:.2f}  {mean:+.3f}  {kind:6}  {counts[Verdict.PASS] / n_runs:.4f}  "
        f"{counts[Verdict.FAIL] / n_runs:.4f}  {used / n_runs:6.0f} of {n}  {fixed[Verdict.PASS] / n_runs:.4f}  "
        f"{fixed[Verdict.FAIL] / n_runs:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    started = time.perf_counter()
    sizes = {"n_runs": options.runs, "n_tasks": options.tasks, "n_trials": options.trials}
    print("margin  psi  truth   tasks   pass    fail    pairs run     fixed: pass, fail")
    for margin, psi in ((0.05, 0.10), (0.05, 0.18), (0.10, 0.18)):
        for truth in (-margin, 0.0, -3 * margin):
            for spread in (0.0, SPREAD):
                print(simulate(margin, psi, truth, spread=spread, **sizes))
    error = 2 * math.sqrt(ALPHA * (1 - ALPHA) / options.runs)
    print(f"two standard errors at 5 %: {error:.4f}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
