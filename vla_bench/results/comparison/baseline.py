"""The baseline file: outcomes of complete runs as JSON, small enough to be committed next to a user's code.

One line per task, so that a changed baseline reads well in a diff. A digest over the content tells an edited file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.results.comparison.vectors import PlanColumns, RunVector, task_groups
from vla_bench.results.outputs import write_output
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.errors import UsageError

__all__ = ["read_baseline", "write_baseline"]

SCHEMA = "vla-bench/baseline/1"
_SAME = ("name", "suite", "protocol", "policy", "policy_version", "policy_kind", "policy_digest", "eval_hash",
         "suite_digest")  # fmt: skip


def write_baseline(path: Path, vectors: Sequence[RunVector]) -> None:
    """Write complete runs as one baseline file.

    Raises:
        IncompleteRun: one of them lacks episodes.
        UsageError: two are of one suite, or the file cannot be written.
    """
    suites = [(vector.suite, vector.protocol) for vector in vectors]
    if len(set(suites)) < len(suites):
        raise UsageError(
            "a baseline file holds one run per suite and protocol; save the others into files of their own"
        )
    for vector in vectors:
        vector.check_complete("a baseline file")
    runs = [_run(vector) for vector in vectors]
    write_output(path, _text({"schema": SCHEMA, "digest": sha256_hex(runs), "runs": runs}))


def read_baseline(path: Path) -> list[RunVector]:
    """Read what `write_baseline` wrote.

    Raises:
        UsageError: there is no such file, or it is something else, or it was edited.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}. Write it with `vla-bench gate RUN --save-baseline`.") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise UsageError(f"{path} is no baseline file ({SCHEMA}); write one: `vla-bench gate RUN --save-baseline FILE`")
    try:
        if sha256_hex(content["runs"]) != content["digest"]:
            raise UsageError(f"{path} was altered after it was written: its content has another digest. Write it anew.")
        return [_vector(run, str(path)) for run in content["runs"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is a damaged baseline file: {type(error).__name__}: {error}") from error


def _run(vector: RunVector) -> dict[str, Any]:
    plan = vector.plan
    return {
        **{name: getattr(vector, name) for name in _SAME},
        "plan_hash": plan.plan_hash,
        "n_stages": plan.n_stages,
        "n_episodes": len(plan),
        "n_success": vector.n_success,
        "tasks": [_task(vector, index) for index in range(len(plan.tasks))],
    }


def _task(vector: RunVector, index: int) -> dict[str, Any]:
    plan = vector.plan
    rows = np.flatnonzero(plan.task == index)
    task: dict[str, Any] = {
        "task": plan.tasks[index],
        "cluster": int(plan.cluster[index]),
        "groups": {tag: groups.values[groups.of_task[index]] for tag, groups in plan.groups.items()},
        "outcomes": "".join(str(outcome) for outcome in vector.outcomes[rows]),
        "trials": [int(trial) for trial in plan.trial[rows]],
        "repeats": [int(repeat) for repeat in plan.repeat[rows]],
        "episodes": [plan.ids[row] for row in rows],
    }
    if vector.lengths is not None:
        task["lengths"] = [int(length) for length in vector.lengths[rows]]
    return task


def _vector(run: Mapping[str, Any], source: str) -> RunVector:
    tasks = run["tasks"]
    n = [len(task["outcomes"]) for task in tasks]
    outcomes = np.array([int(bit) for task in tasks for bit in task["outcomes"]], np.int8)
    lengths = np.array([length for task in tasks for length in task.get("lengths", ())], np.int8)
    ids = tuple(str(episode) for task in tasks for episode in task["episodes"])
    tags = list(tasks[0]["groups"]) if tasks else []
    plan = PlanColumns(
        plan_hash=run["plan_hash"],
        tasks=tuple(task["task"] for task in tasks),
        task=np.repeat(np.arange(len(tasks)), n),
        trial=np.array([trial for task in tasks for trial in task["trials"]], np.int64),
        repeat=np.array([repeat for task in tasks for repeat in task["repeats"]], np.int64),
        cluster=np.array([task["cluster"] for task in tasks], np.int64),
        groups={tag: task_groups([task["groups"][tag] for task in tasks]) for tag in tags},
        n_stages=run["n_stages"],
        make_ids=lambda: ids,
    )
    if not len(outcomes) == len(plan.trial) == len(plan.repeat) == len(ids) == run["n_episodes"]:
        raise ValueError("its columns differ in length")
    return RunVector(
        **{name: run[name] for name in _SAME},
        plan=plan,
        outcomes=outcomes,
        lengths=lengths if run["n_stages"] > 1 else None,
        source=source,
    )


def _text(content: Mapping[str, Any]) -> str:
    """JSON with one line per task."""
    runs = []
    for run in content["runs"]:
        head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in run.items() if key != "tasks"]
        tasks = ",\n".join(f"      {json.dumps(task, separators=(',', ':'))}" for task in run["tasks"])
        runs.append("    {\n     " + ",\n     ".join(head) + ',\n     "tasks": [\n' + tasks + "\n     ]\n    }")
    opening = f'{{\n  "schema": {json.dumps(content["schema"])},\n  "digest": {json.dumps(content["digest"])},\n'
    return opening + '  "runs": [\n' + ",\n".join(runs) + "\n  ]\n}\n"
