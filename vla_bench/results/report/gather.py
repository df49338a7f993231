"""From the database to a `Report`: everything that it shows but pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench import __version__
from vla_bench.results.comparison.loading import load_vectors
from vla_bench.results.comparison.sides import Side
from vla_bench.results.comparison.table import SuiteTable, compare
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.reading import find_run, identity_of, load_fingerprints, load_summary
from vla_bench.results.report.efficiency import measure_efficiency
from vla_bench.results.report.model import CrossTable, LostEpisode, Report, Section, Subject
from vla_bench.results.rows import now
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE
from vla_bench.spec.errors import StoreCorrupted, UsageError
from vla_bench.spec.outcomes import JUDGED

__all__ = ["gather_report"]

MOST_LOST = 50
"""Lost episodes that are listed, of each run."""
MOST_NAMED = 3
"""More runs than this are counted in the title, where their names would fill the first screen."""


def gather_report(store: Store, names: Sequence[str], title: str = "") -> Report:
    """Read runs, and compare those that ran one plan with the first of them.

    Args:
        store: where the runs are.
        names: of at least one run, each once.
        title: of the report; the names of the runs where empty, of many the first.

    Raises:
        UnknownRun: there is no such run.
        UsageError: a run is named twice.
        StoreCorrupted: what is stored is not what we write.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{', '.join(twice)} is named twice")
    vectors = load_vectors(store, names)
    with store.database.read() as connection:
        subjects = [_subject(connection, vector) for vector in vectors]
    by_suite: dict[tuple[str, str], list[tuple[Subject, RunVector]]] = defaultdict(list)
    for subject, vector in zip(subjects, vectors, strict=True):
        by_suite[vector.suite, vector.protocol].append((subject, vector))
    return Report(
        title=title or _title(names),
        made_at=now(),
        version=__version__,
        sections=tuple(_section(suite, protocol, members) for (suite, protocol), members in by_suite.items()),
    )


def _title(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{names[0]} and {len(names) - 1} more runs"


def _section(suite: str, protocol: str, members: Sequence[tuple[Subject, RunVector]]) -> Section:
    comparison, why_not = _comparison([vector for _, vector in members]) if len(members) > 1 else (None, "")
    return Section(
        suite=suite,
        protocol=protocol,
        subjects=tuple(subject for subject, _ in members),
        comparison=comparison,
        no_comparison=why_not,
    )


def _comparison(vectors: Sequence[RunVector]) -> tuple[SuiteTable | None, str]:
    try:
        found = compare([Side(vector.name, (vector,)) for vector in vectors])
    except UsageError as error:
        return None, str(error)
    return found.suites[0], ""


def _subject(connection: Connection, vector: RunVector) -> Subject:
    run = find_run(connection, vector.name)
    identity, summary = identity_of(connection, run), load_summary(connection, run)
    try:
        return Subject(
            summary=summary,
            suite=identity.suite,
            policy=identity.policy,
            machines=tuple(load_fingerprints(connection, run["id"])),
            efficiency=measure_efficiency(connection, run["id"], identity.policy),
            cross=_cross(summary, identity.suite),
            lost=tuple(_lost(connection, run)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupted(f"run {vector.name!r} is damaged: {type(error).__name__}: {error}") from error


def _cross(summary: RunSummary, suite: Mapping[str, Any]) -> CrossTable | None:
    """The table of the two first tags that the suite reports by and that have more than one value each."""
    tags = [tag for tag, groups in summary.groups.items() if len(groups) > 1][:2]
    if len(tags) < 2:
        return None
    of_task = {task["id"]: tuple(str(task["tags"].get(tag) or "") for tag in tags) for task in suite["tasks"]}
    counts: defaultdict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for task in summary.per_task:
        cell = counts[of_task[task.task]]
        cell[0] += task.n_success
        cell[1] += task.n_judged
    columns = tuple(sorted({column for _, column in counts}))
    rows = dict.fromkeys(row for row, _ in counts)
    cells = {row: tuple(_cell(counts.get((row, column))) for column in columns) for row in rows}
    return CrossTable(rows=tags[0], columns=tags[1], values=columns, cells=cells)


def _cell(counts: Sequence[int] | None) -> tuple[int, int] | None:
    return None if counts is None else (counts[0], counts[1])


def _lost(connection: Connection, run: RowMapping) -> list[LostEpisode]:
    """The first lost episodes in plan order, each with the fault of its last attempt."""
    judged = [outcome.value for outcome in JUDGED]
    columns = (EPISODE.c.task, EPISODE.c.trial, EPISODE.c.repeat, EPISODE.c.n_attempts)
    faults = (ATTEMPT.c.error_kind.label("kind"), ATTEMPT.c.error_message.label("message"))
    statement = (
        sa.select(EPISODE.c.episode_id, *columns, *faults)
        .join(ATTEMPT, (ATTEMPT.c.run_id == EPISODE.c.run_id) & (ATTEMPT.c.episode_id == EPISODE.c.episode_id))
        .where(EPISODE.c.run_id == run["id"], EPISODE.c.outcome.not_in(judged))
        .order_by(EPISODE.c.position, ATTEMPT.c.attempt)
    )
    last = {row["episode_id"]: row for row in connection.execute(statement).mappings()}
    names = ("task", "trial", "repeat", "n_attempts", "kind", "message")
    return [LostEpisode(**{name: row[name] for name in names}) for row in list(last.values())[:MOST_LOST]]
