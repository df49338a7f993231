"""How far LIBERO's scripted expert comes: a table of tasks per suite, as the docs show it.

    python benchmarks/libero_expert.py [--suites libero_object libero_spatial libero_goal libero_10] [--trials 10]
    python benchmarks/libero_expert.py --suites libero_90 --trials 2
    python benchmarks/libero_expert.py --suites libero_10 --db /tmp/expert.db     keeps the run, to be shown and filmed

Each suite is a run as `vla-bench run --policy expert` makes it, under the suite's default protocol, from initial states
0 to `--trials` - 1, without a camera. Prints Markdown; the digest is of all final states: two runs on one machine print
the same one, whatever the number of workers.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import resource
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import structlog

import vla_bench
from vla_bench.results.runs import RunSummary, TaskSummary
from vla_bench.results.stats.rates import Interval, wilson
from vla_bench.results.store import Store
from vla_bench.spec.outcomes import Outcome

SUITES = ("libero_object", "libero_spatial", "libero_goal", "libero_10")


class Played(NamedTuple):
    """One episode."""

    task: str
    trial: int
    outcome: Outcome
    n_steps: int
    digest: str


def played(db: str, name: str) -> list[Played]:
    """The episodes of a run that were reached, in the order of its plan."""
    with Store.open(db, read_only=True) as store:
        outcomes, found = store.outcomes(name), []
        for episode in store.plan(name).episodes:
            if episode.id in outcomes:
                result = store.attempts_of(name, episode.id)[-1].result
                found.append(Played(episode.task, episode.trial, result.outcome, result.n_steps, result.final_digest))
        return found


def cpu_s() -> float:
    """CPU time of this process and of its ended children, seconds."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def percent(interval: Interval | None) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f} %" if interval else ""


def row(task: TaskSummary, episodes: list[Played]) -> str:
    steps = [episode.n_steps for episode in episodes if episode.outcome is Outcome.SUCCESS]
    others = [episode for episode in episodes if episode.outcome is not Outcome.SUCCESS]
    failed = ", ".join(f"{other.trial}" + " (lost)" * (not other.outcome.is_judged) for other in others)
    spread = f"{median(steps):.0f} | {max(steps)}" if steps else "|"
    interval = percent(wilson(task.n_success, task.n_judged))
    return f"| {task.task} | {task.n_success}/{task.n_judged} | {interval} | {spread} | {failed} |"


def print_suite(summary: RunSummary, episodes: list[Played]) -> None:
    total = wilson(summary.n_success, summary.n_judged)
    print(f"\n### {summary.suite}: {summary.n_success} of {summary.n_judged} ({percent(total)})\n")
    print("| task | done | 95 % interval | steps, median | most | trials that failed |")
    print("|---|--:|--:|--:|--:|---|")
    for task in summary.per_task:
        print(row(task, [episode for episode in episodes if episode.task == task.task]))


def run_suite(suite: str, db: str, trials: int, workers: int) -> None:
    before, begin = cpu_s(), perf_counter()
    summary = vla_bench.evaluate(
        "expert", suite, trials=trials, workers=workers, db=db, env_start_s=600.0, env_call_s=300.0
    )
    episodes = played(db, summary.name)
    print_suite(summary, episodes)
    n_steps = sum(episode.n_steps for episode in episodes)
    digest = hashlib.blake2b("".join(episode.digest for episode in episodes).encode(), digest_size=8).hexdigest()
    print(f"\n{n_steps} steps, final states {digest}; {summary.protocol}, {summary.n_attempts} attempts, ", end="")
    print(f"{cpu_s() - before:.0f} s CPU with starts and expert, {perf_counter() - begin:.0f} s on {workers} workers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", default=list(SUITES))
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--db", default="", help="where to keep the runs; what is there already is not run again")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with TemporaryDirectory() as folder:
        db = given.db or str(Path(folder) / "results.db")
        for suite in given.suites:
            run_suite(suite, db, given.trials, given.workers)


if __name__ == "__main__":
    main()
