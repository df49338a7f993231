"""What a policy is told: the evaluation's sentence of each task, or the enriched ones of each chain."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from vla_bench.envs.calvin.chains import chains
from vla_bench.envs.calvin.scenes import read_table

__all__ = ["enriched_sentences", "sentence"]


def sentence(task: str) -> str:
    """The one sentence that the evaluation has for a task; no training sentence equals it."""
    text: str = read_table("tasks.toml")[task]["instruction"]
    return text


@cache
def enriched_sentences() -> tuple[tuple[str, ...], ...]:
    """Five sentences for each of the 1,000 chains."""
    text = files(__package__).joinpath("enriched.txt").read_text(encoding="utf-8")
    upper, _, lower = text.partition("---\n")
    by_task: dict[str, list[str]] = {}
    for line in upper.splitlines():
        if not line.startswith("#"):
            task, _, said = line.partition(": ")
            by_task.setdefault(task, []).append(said)
    rows = [[int(word) for word in line.split()] for line in lower.splitlines()]
    return tuple(
        tuple(by_task[task][index] for task, index in zip(chain.tasks, row, strict=True))
        for chain, row in zip(chains(), rows, strict=True)
    )
