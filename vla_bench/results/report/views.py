"""What the templates draw: rows of charts, cells of heat tables, lists of facts, made of a `Report`'s sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vla_bench.results.chains import SubtaskSummary
from vla_bench.results.report.model import Report, Section, Subject
from vla_bench.results.report.words import NOTHING, amount, bounds_text, value_text
from vla_bench.results.runs import GroupMean, GroupSummary, RunSummary, TaskSummary, TotalSummary

__all__ = [
    "MOST_TASKS", "Bar", "Block", "cells_by_part", "checking_commands", "facts_of", "group_blocks", "group_heats",
    "machine_text",
    "overall_bars", "parts_of", "parts_shown", "protocol_facts", "settings_table", "task_blocks",
]  # fmt: skip

MOST_TASKS = 120
"""Tasks that are shown one by one; of a larger suite those with the lowest rates."""
MOST_RUNS_IN_CHARTS = 3
"""More runs than this are shown as a heat table, one column each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One line of a chart.

    Attributes:
        label: what it is about.
        run: name of the run; empty where there is only one.
        counts: `k/n`; empty where it is a mean of rates.
        k, n: successes, and judged ones.
        rate: of success; None where episodes are missing.
        low, high: interval, or bounds where `rate` is None; None where there is neither.
        note: what else is to be said.
    """

    label: str
    run: str = ""
    counts: str
    k: int = 0
    n: int = 0
    rate: float | None
    low: float | None
    high: float | None
    note: str = ""

    @property
    def rate_text(self) -> str:
        """`96.0 %`, or a dash."""
        return NOTHING if self.rate is None else f"{100 * self.rate:.1f} %"

    @property
    def interval_text(self) -> str:
        """`[93.9, 97.4]`, with the word where it is bounds."""
        if self.low is None or self.high is None:
            return NOTHING
        return bounds_text((self.low, self.high)) + (" bounds" if self.rate is None else "")

    @property
    def level(self) -> int:
        """Step of the heat scale, 0 to 10."""
        return min(10, max(0, round(10 * (self.rate or 0.0))))


@dataclass(frozen=True, slots=True)
class Block:
    """A chart: its caption, the title of its first column, and its lines."""

    caption: str
    column: str
    bars: tuple[Bar, ...]


def overall_bars(section: Section) -> list[Bar]:
    """One line a run, then the scores under names of their own."""
    bars = [_bar(subject.summary.name, subject.summary, note=_run_note(subject)) for subject in section.subjects]
    for subject in section.subjects:
        summary = subject.summary
        run = summary.name if len(section.subjects) > 1 else ""
        scores: list[tuple[str, TotalSummary | GroupMean]] = [
            (total.title or total.name, total) for total in summary.totals
        ]
        means = [(tag, mean) for tag, mean in summary.group_means.items() if len(summary.groups.get(tag, ())) > 1]
        scores += [(f"mean over {tag} groups", mean) for tag, mean in means]
        bars += [_named(label, run, it.rate, it.interval) for label, it in scores if it.rate is not None]
    return bars


def group_blocks(section: Section) -> list[Block]:
    """One chart a tag with more than one value; none where there are too many runs for one."""
    if len(section.subjects) > MOST_RUNS_IN_CHARTS:
        return []
    return [
        Block(f"Success by {tag}", tag, tuple(bar for bars in by_value.values() for bar in bars if bar is not None))
        for tag, by_value in _groups(section)
    ]


def group_heats(section: Section) -> list[tuple[str, list[tuple[str, list[Bar | None]]]]]:
    """Tag → value → one cell a run, where there are too many runs for charts."""
    if len(section.subjects) <= MOST_RUNS_IN_CHARTS:
        return []
    return [(tag, list(by_value.items())) for tag, by_value in _groups(section)]


def _groups(section: Section) -> Iterator[tuple[str, dict[str, list[Bar | None]]]]:
    """Each tag with more than one value: value → one bar a run, None where a run has no such task."""
    for tag in dict.fromkeys(tag for subject in section.subjects for tag in subject.summary.groups):
        parts = [(subject, subject.summary.groups.get(tag, ())) for subject in section.subjects]
        values = dict.fromkeys(group.value for _, groups in parts for group in groups)
        if len(values) > 1:
            yield tag, {value or "(none)": _group_bars(value, parts) for value in values}


def task_blocks(section: Section) -> list[Block]:
    """The chart of the tasks; none where there are too many runs for one."""
    if len(section.subjects) > MOST_RUNS_IN_CHARTS:
        return []
    noun, by_run = parts_of(section)
    is_one = len(by_run) == 1
    bars = [
        part if is_one else replace(part, run=subject.summary.name)
        for name in parts_shown(by_run)
        for subject, parts in zip(section.subjects, by_run, strict=True)
        if (part := parts.get(name)) is not None
    ]
    return [Block(f"Success by {noun}", noun, tuple(bars))]


def parts_of(section: Section) -> tuple[str, list[dict[str, Bar]]]:
    """What a suite is made of, `task` or `subtask`, and for each run its parts by name.

    Chains are plans of subtasks, and a thousand of them with one rollout each say nothing one by one.
    """
    chains = [subject.summary.chains for subject in section.subjects]
    if all(chain is not None and chain.subtasks for chain in chains):
        found = [{part.subtask: _subtask_bar(part) for part in chain.subtasks} for chain in chains if chain is not None]
        if len(found[0]) < len(section.subjects[0].summary.per_task):
            return "subtask", found
    return "task", [{task.task: _bar(task.task, task) for task in s.summary.per_task} for s in section.subjects]


def parts_shown(by_run: Sequence[Mapping[str, Bar]]) -> list[str]:
    """Names of the parts in plan order; of very many those with the lowest rates, all runs taken together."""
    order = {name: index for index, name in enumerate(dict.fromkeys(name for parts in by_run for name in parts))}
    if len(order) <= MOST_TASKS:
        return list(order)

    def rate(name: str) -> float:
        found = [parts[name] for parts in by_run if name in parts]
        return sum(bar.k for bar in found) / max(1, sum(bar.n for bar in found))

    return sorted(sorted(order, key=lambda name: (rate(name), order[name]))[:MOST_TASKS], key=order.__getitem__)


def cells_by_part(section: Section) -> list[tuple[str, list[Bar | None]]]:
    """Task or subtask → one cell a run, for heat tables; None where a run has not planned it."""
    _, by_run = parts_of(section)
    return [(name, [parts.get(name) for parts in by_run]) for name in parts_shown(by_run)]


def settings_table(section: Section) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """Evaluation settings: name and value where all runs agree, name and one value a run where they do not."""
    everywhere = [subject.summary.settings for subject in section.subjects]
    same, different = [], []
    for name in dict.fromkeys(name for settings in everywhere for name in settings):
        values = [value_text(settings.get(name)) for settings in everywhere]
        if len(set(values)) == 1:
            same.append((name, values[0]))
        else:
            different.append((name, values))
    return same, different


def facts_of(subject: Subject) -> Iterator[tuple[str, str]]:
    """Where a run comes from: label and value."""
    summary, policy = subject.summary, subject.policy
    kind = " (oracle: reads privileged state, never ranked)" if summary.is_oracle else ""
    yield "policy", f"{summary.policy} {summary.policy_version}{kind}"
    yield "weights", policy.get("weights_digest") or "none declared"
    if options := policy.get("options"):
        yield "options", ", ".join(f"{name} {value_text(value)}" for name, value in options.items())
    yield "policy digest", summary.policy_digest
    yield "plan", summary.plan_hash
    yield "settings", summary.eval_hash
    if summary.origin:
        yield "imported", ", ".join(f"{name} {value_text(value)}" for name, value in summary.origin.items())
    if summary.command:
        yield "command", summary.command
    yield "attempts", f"{summary.n_attempts:,} at {summary.n_planned - summary.not_run:,} episodes"
    if summary.flags:
        yield "flags", ", ".join(f"{flag} {count}" for flag, count in summary.flags.items())
    if summary.n_clipped:
        yield "clipped actions", f"{summary.n_clipped:,}"
    yield "started", summary.started_at or NOTHING
    yield "finished", summary.finished_at or "not finished"
    for machine, n_attempts in subject.machines:
        yield "machine", f"{machine_text(machine)} ({n_attempts:,} attempts)"


def machine_text(machine: Any) -> str:
    """A fingerprint in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    parts = [machine.cpu, machine.os, f"Python {machine.python}", packages]
    if machine.renderer:
        parts.append("rendered by " + " ".join(str(value) for value in machine.renderer.values()))
    return ", ".join(part for part in parts if part)


def checking_commands(report: Report) -> list[str]:
    """Lines that check or repeat what the report says."""
    subjects = [subject for section in report.sections for subject in section.subjects]
    lines = [f"vla-bench verify {s.summary.name}" for s in subjects if not s.summary.is_imported]
    for section in report.sections:
        names = [subject.summary.name for subject in section.subjects]
        if len(names) > 1:
            lines.append(f"vla-bench compare {' '.join(names)}")
            lines.append(f"vla-bench diff {names[0]} {names[1]}")
    return lines


def _group_bars(value: str, parts: Sequence[tuple[Subject, Sequence[GroupSummary]]]) -> list[Bar | None]:
    bars: list[Bar | None] = []
    for subject, groups in parts:
        group = next((group for group in groups if group.value == value), None)
        if group is None:
            bars.append(None)
            continue
        is_part = group.n_suite_tasks > group.n_tasks
        note = f"{group.n_tasks} of {group.n_suite_tasks} tasks" if is_part else amount(group.n_tasks, "task")
        run = "" if len(parts) == 1 else subject.summary.name
        bars.append(_bar(value or "(none)", group, run=run, note=f"{note}. {group.note}" if group.note else note))
    return bars


def _bar(label: str, part: RunSummary | TaskSummary | GroupSummary, *, run: str = "", note: str = "") -> Bar:
    interval = part.these_tasks if isinstance(part, RunSummary) else part.interval
    ends: tuple[float | None, float | None] = (None, None)
    if part.rate is not None and interval is not None:
        ends = interval.low, interval.high
    elif part.bounds is not None:
        ends = part.bounds
    counts = f"{part.n_success}/{part.n_judged}"
    if part.n_judged < part.n_planned:
        counts += f" of {part.n_planned}"
    return Bar(
        label=label, run=run, counts=counts, k=part.n_success, n=part.n_judged, rate=part.rate, low=ends[0],
        high=ends[1], note=note,
    )  # fmt: skip


def _subtask_bar(part: SubtaskSummary) -> Bar:
    ends = (None, None) if part.interval is None else (part.interval.low, part.interval.high)
    return Bar(
        label=part.subtask, counts=f"{part.n_success}/{part.n_attempted}", k=part.n_success, n=part.n_attempted,
        rate=part.rate, low=ends[0], high=ends[1],
    )  # fmt: skip


def _named(label: str, run: str, rate: float, interval: Any) -> Bar:
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return Bar(label=label, run=run, counts="", rate=rate, low=ends[0], high=ends[1])


def _run_note(subject: Subject) -> str:
    summary = subject.summary
    like = summary.tasks_like_these
    notes = [summary.score_line]
    if like is not None:
        notes.append(f"on tasks like these {bounds_text(like)}{' (rough)' if like.is_rough else ''}")
    if summary.is_oracle:
        notes.append("oracle, never ranked")
    if summary.is_imported:
        notes.append("imported, self-reported")
    if summary.standin:
        notes.append(summary.standin)
    return "; ".join(notes)


def protocol_facts(suite: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a protocol fixes: label and value."""
    protocol = suite["protocol"]
    plain = [(name.replace("_", " "), value_text(value)) for name, value in protocol.items() if name != "parameters"]
    return plain + [(name.replace("_", " "), value_text(value)) for name, value in protocol["parameters"].items()]
