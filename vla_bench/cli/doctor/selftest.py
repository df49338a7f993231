"""`doctor --self-test`: a real run of the smallest suite by its expert, end to end, in a home of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter

from vla_bench.cli.doctor.checks import Check
from vla_bench.harness.config import RunConfig
from vla_bench.harness.execute import execute_run
from vla_bench.spec.errors import VlaBenchError

__all__ = ["self_test"]

SUITE = "toy_reach"


def self_test() -> Check:
    """Serve the expert, run the plan in worker processes, store, read the score: it must be 100 %."""
    begun_s = perf_counter()
    with tempfile.TemporaryDirectory(prefix="vla-bench-self-test-") as home:
        config = RunConfig(
            policy="expert",
            suite=SUITE,
            trials=2,
            workers=2,
            name="self-test",
            db=f"sqlite:///{Path(home) / 'results.db'}",
        )
        try:
            summary = execute_run(config)
        except VlaBenchError as error:
            return Check(
                group="self-test",
                name=SUITE,
                status="blocker",
                detail=str(error),
                fix="vla-bench doctor --self-test --debug",
            )
    took = f"{perf_counter() - begun_s:.1f} s"
    if summary.rate != 1.0:
        detail = f"the expert must succeed everywhere: {summary.score_line} ({took})"
        return Check(group="self-test", name=SUITE, status="blocker", detail=detail)
    return Check(group="self-test", name=SUITE, status="ok", detail=f"100 %: {summary.score_line} ({took})")
