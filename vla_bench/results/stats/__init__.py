"""Success rates and their intervals."""

from vla_bench.results.stats.rates import Interval, clopper_pearson, rate_bounds, wilson, wilson_of_mean
from vla_bench.results.stats.suites import ClusterInterval, TaskCounts, mean_rate, tasks_like_these, these_tasks

__all__ = [
    "ClusterInterval", "Interval", "TaskCounts", "clopper_pearson", "mean_rate", "rate_bounds", "tasks_like_these",
    "these_tasks", "wilson", "wilson_of_mean",
]  # fmt: skip
