"""Rates, intervals, tests and sample sizes: plain functions of counts, each with its reference.

The names below are the daily ones; `chains`, `sequential`, `power`, `ranks`, `audits` and `aggregates` are modules.
"""

from vla_bench.results.stats.noninferiority import Verdict, noninferior_paired
from vla_bench.results.stats.paired import Pairs, mcnemar_p, tango_interval
from vla_bench.results.stats.rates import Interval, clopper_pearson, rate_bounds, wilson
from vla_bench.results.stats.several import holm
from vla_bench.results.stats.suites import ClusterInterval, TaskCounts, mean_rate, tasks_like_these, these_tasks

__all__ = [
    "ClusterInterval", "Interval", "Pairs", "TaskCounts", "Verdict", "clopper_pearson", "holm", "mcnemar_p",
    "mean_rate", "noninferior_paired", "rate_bounds", "tango_interval", "tasks_like_these", "these_tasks", "wilson",
]  # fmt: skip
