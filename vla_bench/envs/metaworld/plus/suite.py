"""Describes the suite under perturbation from the plain one and the tables of levels; no simulator."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from vla_bench.envs.perturb import LEVELS, Dimension, Scene, strengths
from vla_bench.spec.suite import Suite, Task

__all__ = ["SUITES", "perturbed_suite", "scene"]

SUITES: Final[Mapping[str, str]] = {"metaworld_plus": "metaworld_mt10", "metaworld_plus_mt50": "metaworld_mt50"}
"""Suite under perturbation → the plain one."""

_TEXTS: Final = ("paraphrases-1.toml", "paraphrases-mt50-1.toml")


def perturbed_suite(name: str, plain: Suite) -> Suite:
    """Every task of a Meta-World suite in every dimension at every level, the variants of a task side by side.

    Args:
        name: of the suite.
        plain: the one that it perturbs, under one of its protocols.
    """
    table, texts, used = _data("protocols.toml"), {}, []
    for file in map(_data, _TEXTS):
        if own := {task.id: file["tasks"][task.id] for task in plain.tasks if task.id in file["tasks"]}:
            texts |= own
            used.append(f"{file['name']}/{file['version']}")
    return replace(
        plain,
        name=name,
        title=f"Meta-World+: {len(plain.tasks)} tasks of a Sawyer arm under seven perturbations at five levels",
        protocol=replace(
            plain.protocol,
            n_trials=table["n_trials"],
            parameters={**plain.protocol.parameters, **table["parameters"], "paraphrases": " ".join(used)},
        ),
        tasks=tuple(
            _variant(task, dimension, level, texts[task.id])
            for task in plain.tasks
            for dimension in Dimension
            for level in LEVELS
        ),
        group_by=("dimension", "level"),
        provenance={
            **plain.provenance,
            "dimensions": "those of LIBERO-Plus (arXiv 2510.13626); strengths and code are this project's own",
            "paraphrases": "written for this project (Apache-2.0)",
        },
    )


@cache
def scene(task: str) -> Scene:
    """What the model of a task of Meta-World holds that can be perturbed."""
    data = dict(_data("scene.toml"))
    data |= data.pop("tasks").get(task, {})
    low, high = data.pop("workspace_m")
    return Scene(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()},
        workspace_m=(tuple(low), tuple(high)),
    )


def _variant(task: Task, dimension: Dimension, level: int, texts: Sequence[str]) -> Task:
    return replace(
        task,
        # A dot, so that the plain task's name is what stands before it.
        id=f"{task.id}.{dimension.value}-{level}",
        instruction=texts[level - 1] if dimension is Dimension.LANGUAGE else task.instruction,
        tags={"dimension": dimension.value, "level": level, "base_task": task.id, **task.tags},
        params={"base_task": task.id, **strengths(dimension, level).to_params()},
    )


@cache
def _data(name: str) -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
