"""A gate on complete runs, the baseline file, and the plan of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vla_bench.cli.display.console import answer, print_json, story
from vla_bench.cli.display.gate import print_gate, print_gate_plan
from vla_bench.cli.reading import open_results
from vla_bench.results.comparison.baseline import write_baseline
from vla_bench.results.comparison.sides import is_file, open_sides
from vla_bench.results.gate.planning import plan_gate
from vla_bench.results.gate.report import GateReport, evaluate_gate, exit_code_of, open_baselines
from vla_bench.results.gate.thresholds import DEFAULT_ALPHA, Thresholds
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.results.gate.writing import junit_xml, markdown_summary
from vla_bench.results.outputs import write_output
from vla_bench.results.store import Store
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import match_name
from vla_bench.spec.outcomes import ExitCode

__all__ = ["Outputs", "print_plan", "run_gate", "save_runs", "tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the answer goes besides the terminal, and what an inconclusive one ends with."""

    junit: str
    summary: str
    as_json: bool
    on_inconclusive: OnInconclusive


def run_gate(
    runs: Sequence[str],
    baselines: Sequence[str],
    thresholds: Thresholds,
    outputs: Outputs,
    *,
    intersection: bool,
    db: str,
) -> ExitCode:
    """Hold complete runs against their baselines and print the answer.

    Raises:
        UsageError: (a child) something in the question is wrong.
        IncompleteRun: a run lacks episodes.
    """
    if not runs or not baselines:
        missing = "the candidate's RUN" if not runs else "--baseline (a run, a file, or published:RATE@EPISODES)"
        raise UsageError(f"a gate wants {missing}. See `vla-bench gate --help`.")
    with ExitStack() as stack:

        def open_store() -> Store:
            return stack.enter_context(open_results(db))

        sides = open_sides(runs, open_store)
        vectors = [vector for side in sides for vector in side.vectors]
        report = evaluate_gate(vectors, open_baselines(baselines, open_store), thresholds, intersection=intersection)
    return tell(report, outputs)


def tell(report: GateReport, outputs: Outputs) -> ExitCode:
    """Print and write the answer; return the exit code."""
    if outputs.junit:
        write_output(Path(outputs.junit), junit_xml(report, outputs.on_inconclusive))
    if outputs.summary:
        write_output(Path(outputs.summary), markdown_summary(report))
    code = exit_code_of(report.verdict, outputs.on_inconclusive)
    if outputs.as_json:
        print_json(report.to_dict() | {"exit_code": int(code)})
    else:
        print_gate(report, answer(), outputs.on_inconclusive)
    return code


def save_runs(runs: Sequence[str], path: Path, *, db: str) -> None:
    """Write complete runs as a baseline file.

    Raises:
        UsageError: no run is named, or the file cannot be written.
        IncompleteRun: a run lacks episodes.
    """
    if not runs:
        raise UsageError("--save-baseline wants the runs to save: vla-bench gate RUN --save-baseline FILE")
    if not is_file(path.name):
        raise UsageError(f"a baseline file ends in .json, not {path.name!r}")
    with ExitStack() as stack:
        sides = open_sides(runs, lambda: stack.enter_context(open_results(db)))
    vectors = [vector for side in sides for vector in side.vectors]
    write_baseline(path, vectors)
    what = ", ".join(f"{vector.name} ({len(vector.plan):,} episodes)" for vector in vectors)
    story().print(f"written: {path} with {what}", markup=False, soft_wrap=True)


def print_plan(runs: Sequence[str], margin: float | None, alpha: float | None, *, db: str, as_json: bool) -> None:
    """Say what gates against a run would cost.

    Raises:
        UsageError: not exactly one run is named.
        UnknownRun: there is no such run.
    """
    if len(runs) != 1 or is_file(runs[0]):
        raise UsageError("--plan wants one run of the database, the baseline: vla-bench gate --plan RUN")
    if margin is not None and not 0 < margin < 1:
        raise UsageError(f"a margin is above 0 and below 1 (a fraction: 0.05 is 5 points), not {margin:g}")
    level = Thresholds(alpha=DEFAULT_ALPHA if alpha is None else alpha).alpha
    with open_results(db) as store:
        known = [summary.name for summary in store.summaries()]
        name = match_name(runs[0], known) or runs[0]
        plan = plan_gate(store, name, margins=() if margin is None else (margin,), alpha=level)
    if as_json:
        print_json(plan.to_dict())
    else:
        print_gate_plan(plan, answer(), margin)
