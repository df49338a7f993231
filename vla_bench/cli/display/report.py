"""How a result looks: the score line, the suite's rate with both labelled intervals, tasks, groups, latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.chains import chain_facts, length_bounds, subtask_table
from vla_bench.cli.display.tables import facts, plain_table
from vla_bench.cli.display.words import bar, counts, interval, number, percent, plural
from vla_bench.spec.messages import CheckpointScope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vla_bench.harness.preview import RunPreview
    from vla_bench.results.runs import GroupSummary, RunSummary, TaskSummary
    from vla_bench.spec.result import Fingerprint

__all__ = ["print_preview", "print_report", "print_score", "print_tasks"]

MOST_TASKS = 150
"""More tasks than this are not printed one by one."""


def print_report(summary: RunSummary, console: Console, machines: Sequence[tuple[Fingerprint, int]] = ()) -> None:
    """Print everything that is known of a run; `machines` are fingerprints with their numbers of attempts."""
    print_score(summary, console)
    print_tasks(summary, console)
    for tag, groups in summary.groups.items():
        if len(groups) > 1:
            console.print("")
            console.print(_groups(tag, groups))
    console.print("")
    console.print(facts(_details(summary)))
    for machine, n_attempts in machines:
        console.print(facts({"machine": _machine(machine, n_attempts if len(machines) > 1 else 0)}))


def print_score(summary: RunSummary, console: Console) -> None:
    """Print the head: what ran, the score line, the rate with its intervals, or bounds where episodes are missing."""
    console.print(f"[name]{escape(summary.name)}[/]{_marks(summary)}")
    console.print(
        f"[dim]{escape(summary.policy)} {escape(summary.policy_version)} on {summary.suite} {summary.protocol}[/]"
    )
    console.print(f"  [name]{escape(summary.score_line)}[/]")
    if summary.rate is None:
        _print_bounds(summary, console)
        return
    if summary.chains is not None:
        console.print(chain_facts(summary.chains))
        return
    rows = {"success rate": percent(summary.rate)}
    rows["  on these tasks"] = f"{interval(summary.these_tasks)}  95 %, {_method(summary.these_tasks)}"
    if (like := summary.tasks_like_these) is not None:
        rough = "; rough: fewer than 20" if like.is_rough else ""
        rows["  on tasks like these"] = f"{interval(like)}  95 %, clustered by task over {like.n_clusters}{rough}"
    if summary.totals:
        rows |= _totals(summary)
    else:
        means = {f"mean over {tag} groups": mean for tag, mean in summary.group_means.items() if mean.rate is not None}
        rows |= {name: f"{percent(mean.rate)}  {interval(mean.interval)}" for name, mean in means.items()}
    table = facts(rows)
    table.columns[1].style = "number"
    console.print(table)


def _marks(summary: RunSummary) -> str:
    marks = ["[note]oracle: never ranked[/]"] if summary.is_oracle else []
    marks += ["[lost]stand-in: no result[/]"] if summary.standin else []
    if summary.is_imported:
        marks.append(f"[note]imported from {escape(str(summary.origin.get('tool', '')))}: self-reported[/]")
    if source := summary.fetched_from:
        marks.append(f"[note]fetched from {escape(source)}[/]")
    return "".join(f"   {mark}" for mark in marks)


def _totals(summary: RunSummary) -> dict[str, str]:
    """Scores under names of their own: only of whole suites, lest a part be quoted as the whole."""
    if all(total.rate is None for total in summary.totals):
        return {"totals": f"given only where all {summary.n_suite_tasks:,} tasks are run"}
    return {total.title: f"{percent(total.rate)}  {interval(total.interval)}" for total in summary.totals}


def print_tasks(summary: RunSummary, console: Console) -> None:
    """Print the table of tasks, where it can be read; of chains, that of their subtasks."""
    if summary.chains is not None and len(summary.chains.subtasks) < len(summary.per_task):
        console.print("")
        console.print(subtask_table(summary.chains))
        return
    if len(summary.per_task) > MOST_TASKS:
        command = f"vla-bench show {summary.name} --json"
        console.print(f"\n[dim]{len(summary.per_task):,} tasks, one by one: {escape(command)}[/]", soft_wrap=True)
        return
    has_lost = summary.n_lost > 0
    titles = ["task", "k/n>", *(["lost>"] if has_lost else []), "rate>", " |", "95 %|"]
    table = plain_table(*titles)
    for task in summary.per_task:
        lost = [f"[lost]{task.n_lost}[/]" if task.n_lost else ""] if has_lost else []
        table.add_row(escape(task.task), f"{task.n_success}/{task.n_judged}", *lost, *_rate_cells(task))
    console.print("")
    console.print(table)


def _print_bounds(summary: RunSummary, console: Console) -> None:
    """An incomplete run has no rate."""
    if summary.n_planned == 0:
        return
    rows = {
        "coverage": percent(summary.coverage),
        "bounds": f"{interval(summary.bounds)}: all that are missing fail … all succeed",
        "average length": length_bounds(summary.chains) if summary.chains else "",
    }
    console.print("  [lost]incomplete: no score[/]")
    console.print(facts(rows))
    if summary.shards:
        parts = ", ".join(summary.shards)
        console.print(f"  shards in this database: {parts}. Complete it: run the others, then `vla-bench merge`")
    elif summary.command:
        console.print(f"  complete it: [bold]{escape(summary.command)}[/]", soft_wrap=True)


def _method(found: object) -> str:
    name = str(getattr(found, "method", ""))
    return {"wilson": "Wilson", "clopper_pearson": "Clopper–Pearson"}.get(name, name)


def _groups(tag: str, groups: tuple[GroupSummary, ...]) -> object:
    has_notes = any(group.note for group in groups)
    table = plain_table(tag, "tasks>", "k/n>", "rate>", " |", "95 %|", *(["note"] if has_notes else []))
    for group in groups:
        score = f"{group.n_success}/{group.n_judged}" if group.n_tasks else "–"
        is_part = group.n_tasks < group.n_suite_tasks
        tasks = f"{group.n_tasks:,} of {group.n_suite_tasks:,}" if is_part else f"{group.n_tasks:,}"
        notes = [escape(group.note)] if has_notes else []
        table.add_row(escape(group.value) or "–", tasks, score, *_rate_cells(group), *notes)
    return table


def _rate_cells(part: TaskSummary | GroupSummary) -> tuple[str, str, str]:
    if part.rate is None:
        return "–", "", f"[lost]{interval(part.bounds)} bounds[/]" if part.bounds else ""
    colour = "good" if part.rate >= 0.5 else "bad"
    return percent(part.rate), f"[{colour}]{bar(part.rate, part.interval)}[/]", interval(part.interval)


def _details(summary: RunSummary) -> dict[str, str]:
    times = summary.latencies
    shares = {"policy": times.policy_share, "simulator": times.env_share, "harness": times.harness_share}
    policy_times = (
        f"median {number(times.policy_p50_ms)}, 95 % {number(times.policy_p95_ms)}, "
        f"max {number(times.policy_max_ms, 1, 'ms')} over {times.n_queries} answers"
    )
    where = ", ".join(f"{name} {percent(share)}" for name, share in shares.items() if share is not None)
    return {
        "checkpoints": _checkpoints(summary),
        "answers": policy_times if times.n_queries else "",
        "simulator step": number(times.env_mean_ms, 2, "ms") if times.env_mean_ms is not None else "",
        "wall time": f"{number(times.wall_s, 1, 's')} over all attempts: {where}" if where else "",
        "attempts": f"{summary.n_attempts} at {summary.n_planned} episodes",
        "clipped actions": str(summary.n_clipped) if summary.n_clipped else "",
        "flags": counts(summary.flags),
        "shards": ", ".join(summary.shards),
        "plan": summary.plan_hash[:16],
        "settings": summary.eval_hash[:16],
        "started": summary.started_at,
        "finished": summary.finished_at or "not yet",
    }


def _checkpoints(summary: RunSummary) -> str:
    """One for all is what everybody expects; anything else is said."""
    if summary.checkpoint_scope is CheckpointScope.ONE:
        return ""
    return ": ".join(part for part in (summary.checkpoint_scope.value, ", ".join(summary.routes)) if part)


def _machine(machine: Fingerprint, n_attempts: int) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    renderer = ", ".join(value for value in machine.renderer.values() if value) or "nothing rendered"
    share = f" ({plural(n_attempts, 'attempt')})" if n_attempts else ""
    return (
        "; ".join(part for part in (machine.cpu, machine.os, f"Python {machine.python}", packages, renderer) if part)
        + share
    )


def print_preview(preview: RunPreview, console: Console) -> None:
    """Print what a run would do."""
    console.print(f"[name]{escape(preview.name)}[/]   [dim]nothing is run[/]")
    if preview.differs:
        differs = ", ".join(preview.differs)
        state = f"would be refused: a run of that name has another {differs}; take --fresh or another --name"
    elif preview.exists:
        state = f"goes on: {preview.n_judged} judged, {preview.n_lost} lost before"
    else:
        state = "new"
    rows = {
        "policy": preview.policy,
        "suite": f"{preview.suite} {preview.protocol}{f', shard {preview.shard}' if preview.shard else ''}",
        "would run": f"{plural(preview.n_to_run, 'episode')} of {preview.n_planned}, {preview.n_workers} at a time",
        "state": state,
        "pictures": ", ".join(preview.cameras) or "none",
        "executor": preview.executor,
        "database": preview.database or "made by the first run",
        "plan_hash": preview.plan_hash,
        "eval_hash": preview.eval_hash,
    }
    console.print(facts(rows))
