"""`vla-bench gate`: may this policy land?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)

QUESTION, ANSWER, SEQUENTIAL = "What is asked", "What comes out", "Sequential: run only as many episodes as needed"


def _asked(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=QUESTION, **more)


def _out(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=ANSWER, **more)


def _run(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=SEQUENTIAL, **more)


@app.command(
    epilog=examples(
        "vla-bench gate expert-toy_reach --save-baseline main.json",
        "vla-bench gate expert-toy_reach --baseline main.json --margin 0.05 --junit gate.xml --summary gate.md",
        "vla-bench gate expert-toy_reach --baseline published:75/100 --margin 0.1",
        "vla-bench gate --plan expert-toy_reach --margin 0.02",
        "vla-bench gate --sequential -p expert --baseline-policy expert -s toy_reach --trials 20 --margin 0.1",
    )
)
def gate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN…]", help="The candidate's runs, one per suite.", show_default=False),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        _asked("A run, a baseline file, or published:RATE@EPISODES; repeatable.", "--baseline", "-b", metavar="WHAT"),
    ] = None,
    margin: Annotated[
        float | None, _asked("Tolerated loss, a fraction: 0.05 is 5 points, and the default. Of lengths, subtasks.")
    ] = None,
    alpha: Annotated[float | None, _asked("Error rate of either answer; 0.05 where not given.")] = None,
    measure: Annotated[str, _asked("success, average_length or sr@K; of chains, the average length where empty.")] = "",
    thresholds: Annotated[str, _asked("YAML file with margins and floors per suite and task.", metavar="FILE")] = "",
    intersection: Annotated[
        bool, _asked("Compare the episodes that both judged, where plans differ.", "--intersection")
    ] = False,
    on_inconclusive: Annotated[
        OnInconclusive, _out("tell (exit code 4), pass, fail, or extend a sequential gate by further trials.")
    ] = OnInconclusive.TELL,
    junit: Annotated[str, _out("Write JUnit XML.", metavar="FILE")] = "",
    summary: Annotated[str, _out("Write Markdown for a pull request.", metavar="FILE")] = "",
    save_baseline: Annotated[
        str, _out("Write the runs as a baseline file, to be committed; asks nothing.", metavar="FILE")
    ] = "",
    plan: Annotated[bool, _out("Say what gates against the given run would cost, and run nothing.", "--plan")] = False,
    sequential: Annotated[
        bool, _run("Run candidate and baseline in turns until the answer is there.", "--sequential")
    ] = False,
    policy: Annotated[str, _run("The candidate, as in `vla-bench run`.", "--policy", "-p")] = "",
    option: Annotated[
        list[str] | None, _run("Option of the candidate; repeatable.", "--option", "-o", metavar="KEY=VALUE")
    ] = None,
    baseline_policy: Annotated[str, _run("The baseline to run beside it, where it has no complete run.")] = "",
    baseline_option: Annotated[
        list[str] | None, _run("Option of the baseline; repeatable.", metavar="KEY=VALUE")
    ] = None,
    suite: Annotated[str, _run("Suite; that of the baseline where empty.", "--suite", "-s")] = "",
    protocol: Annotated[str, _run("Protocol of the suite.")] = "",
    task: Annotated[list[str] | None, _run("Keep this task; repeatable.", "--task", "-t")] = None,
    trials: Annotated[int | None, _run("Trials per task.")] = None,
    max_trials: Annotated[int | None, _run("Trials per task up to which --on-inconclusive extend goes.")] = None,
    seed: Annotated[int, _run("Base of the policy seeds.")] = 0,
    order_seed: Annotated[int, _run("Seed of the order in which episodes are run.")] = 0,
    workers: Annotated[int | None, _run("Simulators at a time, of each policy.", "--workers", "-w")] = None,
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Answer whether a policy may land: is it shown to be no worse than the margin allows?

    Exit code 0 pass, 1 fail, 4 inconclusive, 3 where a run is incomplete.
    """
    from vla_bench.cli.gating.fixed import Outputs, print_plan, run_gate, save_runs
    from vla_bench.results.gate.thresholds import Thresholds, read_thresholds

    outputs = Outputs(junit=junit, summary=summary, as_json=as_json, on_inconclusive=on_inconclusive)
    if plan:
        print_plan([*(runs or []), *(baseline or [])], margin, alpha, db=db, as_json=as_json)
        return
    if save_baseline:
        save_runs(runs or [], Path(save_baseline), db=db)
        return
    asked = read_thresholds(Path(thresholds)) if thresholds else Thresholds()
    asked = asked.with_changes(margin=margin, alpha=alpha, measure=measure)
    if sequential:
        from vla_bench.cli.gating.sequential import Contest, run_contest

        contest = Contest(
            policy=policy, options=tuple(option or ()), baselines=tuple(baseline or ()),
            baseline_policy=baseline_policy, baseline_options=tuple(baseline_option or ()), suite=suite,
            protocol=protocol, tasks=tuple(task or ()), trials=trials, max_trials=max_trials, seed=seed,
            order_seed=order_seed, workers=workers, names=tuple(runs or ()), db=db,
        )  # fmt: skip
        raise typer.Exit(run_contest(contest, asked, outputs))
    if on_inconclusive is OnInconclusive.EXTEND:
        raise UsageError(
            "--on-inconclusive extend goes with --sequential: a fixed test that is repeated with more episodes until "
            "it passes has no error rate. Type: vla-bench gate --sequential --policy … --on-inconclusive extend"
        )
    raise typer.Exit(run_gate(runs or [], baseline or [], asked, outputs, intersection=intersection, db=db))
