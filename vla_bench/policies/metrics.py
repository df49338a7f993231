"""Counters of a policy server, and their form for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["LATENCY_BOUNDS_S", "PolicyMetrics"]

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency histogram's buckets, seconds."""


@dataclass(slots=True)
class PolicyMetrics:
    """Counts since the start of the server process.

    Attributes:
        n_answers: questions answered with actions.
        n_repeats: questions answered from memory, or joined to the same question in flight.
        n_resets: successful resets.
        n_sessions_opened: sessions ever opened.
        errors: error kind → count.
        batch_sizes: rows in a forward pass → count of passes.
        latency_s_sum: time from arrival to answer, summed over `n_answers`.
    """

    n_answers: int = 0
    n_repeats: int = 0
    n_resets: int = 0
    n_sessions_opened: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    batch_sizes: Counter[int] = field(default_factory=Counter)
    latency_s_sum: float = 0.0
    _latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))

    def add_answer(self, latency_s: float) -> None:
        """Count one answered question."""
        self.n_answers += 1
        self.latency_s_sum += latency_s
        self._latencies[bisect_left(LATENCY_BOUNDS_S, latency_s)] += 1

    def render(self, n_sessions: int) -> str:
        """The counters in Prometheus' text format, version 0.0.4.

        Args:
            n_sessions: sessions open now.
        """
        lines = [
            *_single("vla_bench_policy_sessions", "gauge", "Sessions open now.", n_sessions),
            *_single("vla_bench_policy_sessions_opened_total", "counter", "Sessions opened.", self.n_sessions_opened),
            *_single("vla_bench_policy_resets_total", "counter", "Successful resets.", self.n_resets),
            *_single("vla_bench_policy_repeats_total", "counter", "Requests answered from memory.", self.n_repeats),
            *_header("vla_bench_policy_errors_total", "counter", "Errors by kind."),
            *(f'vla_bench_policy_errors_total{{kind="{kind}"}} {n}' for kind, n in sorted(self.errors.items())),
            *_header("vla_bench_policy_batches_total", "counter", "Forward passes by number of rows."),
            *(f'vla_bench_policy_batches_total{{rows="{rows}"}} {n}' for rows, n in sorted(self.batch_sizes.items())),
            *self._histogram("vla_bench_policy_latency_seconds"),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        lines = _header(name, "histogram", "Time from a request's arrival to its answer.")
        total = 0
        for bound, count in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), self._latencies, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self.latency_s_sum!r}", f"{name}_count {total}"]


def _header(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _single(name: str, kind: str, text: str, value: int) -> list[str]:
    return [*_header(name, kind, text), f"{name} {value}"]
