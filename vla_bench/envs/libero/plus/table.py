"""Reads the two tables of this folder: which tasks there are, their labels and levels, and the rewritten sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from vla_bench.envs.libero.plus.names import KINDS, Variant, parse_name

__all__ = ["BASE_SUITES", "PlusTask", "plus_tasks", "rewritten_instructions"]

BASE_SUITES: Final = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlusTask:
    """One task with upstream's labels.

    Attributes:
        base_suite: the LIBERO suite that its base task belongs to.
        number: upstream's `id`, its position in that suite's list from 1.
        level: difficulty 1–5; None where upstream gives none.
        variant: what its name says.
    """

    base_suite: str
    number: int
    level: int | None
    variant: Variant


@cache
def plus_tasks() -> tuple[PlusTask, ...]:
    """All 10,030 tasks, suite by suite in upstream's order."""
    return tuple(_read_tasks())


def _read_tasks() -> Iterator[PlusTask]:
    counts: dict[str, int] = {}
    for (suite, _, base_task, kind), lines in _blocks("tasks.tsv"):
        template = base_task + KINDS[kind].suffix
        for cell in " ".join(lines).split():
            number, _, level = cell.partition(":")
            counts[suite] = counts.get(suite, 0) + 1
            yield PlusTask(
                base_suite=suite,
                number=counts[suite],
                level=None if level == "-" else int(level),
                variant=parse_name(template.format(number)),
            )


@cache
def rewritten_instructions() -> Mapping[tuple[str, str, str], str]:
    """`(suite, base task, number of the variant)` → sentence, for the tasks of the dimension Language Instructions."""
    found = {}
    for (suite, base_task), lines in _blocks("instructions.tsv"):
        for line in lines:
            number, _, sentence = line.partition(" ")
            found[suite, base_task, number] = sentence
    return found


def _blocks(name: str) -> Iterator[tuple[list[str], list[str]]]:
    """Head lines, split at tabs, each with the indented lines below it."""
    head: list[str] = []
    lines: list[str] = []
    for line in files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            lines.append(line[2:])
        elif not line.startswith("#"):
            if head:
                yield head, lines
            head, lines = line.split("\t"), []
    yield head, lines
