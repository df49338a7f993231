"""Upstream's archive of scenes, textures and objects: what it is, which task needs which of its files, is it whole."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from vla_bench.envs.libero.plus.names import parse_name
from vla_bench.envs.libero.plus.table import BASE_SUITES, plus_tasks
from vla_bench.envs.runtime.assets.declared import STANDIN_FILE, AssetArchive, AssetReport, AssetSet

__all__ = ["ARCHIVE", "needed_files"]


@cache
def needed_files() -> Mapping[str, tuple[str, ...]]:
    """Task → files of the archive that it needs besides LIBERO's own, below `assets`; only tasks that need some."""
    suites = {suite.removeprefix("libero_")[0]: suite for suite in BASE_SUITES}
    names = {(task.base_suite, task.number): task.variant.name for task in plus_tasks()}
    needed: defaultdict[str, list[str]] = defaultdict(list)
    folder = ""
    for line in files(__package__).joinpath("archive.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            file, _, tasks = line.strip().partition("\t")
            for task in tasks.split():
                needed[names[suites[task[0]], int(task[1:])]].append(f"{folder}/{file}")
        elif not line.startswith("#"):
            folder = line
    return {task: tuple(found) for task, found in needed.items()}


def _lacking(folder: Path | None, tasks: Collection[str]) -> Sequence[str]:
    asking = [task for task in tasks if parse_name(task).needs_archive]
    if folder is None:
        return asking
    needed = needed_files()
    return [task for task in asking if not all((folder / file).is_file() for file in needed.get(task, ()))]


def _check(folder: Path) -> AssetReport:
    wanted = sorted({file for found in needed_files().values() for file in found})
    is_standin = (folder / STANDIN_FILE).exists()
    present = [file for file in wanted if (folder / file).is_file()]
    faults = [f"{file} is missing" for file in wanted if file not in set(present)]
    faults += [fault for file in present if file.endswith(".xml") for fault in _unresolved(folder / file)]
    tasks = [task.variant.name for task in plus_tasks() if task.variant.needs_archive]
    n_here = len(tasks) - len(_lacking(folder, tasks))
    notes = [f"has the files of {n_here:,} of {len(tasks):,} tasks", _own_files(folder)]
    # A stand-in is small on purpose; what it has must be whole all the same.
    return AssetReport(faults=[] if is_standin and present else faults, notes=notes)


def _unresolved(path: Path) -> Iterable[str]:
    """Files that an XML file names and that are not there."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        return [f"{path.name} is damaged: {error}"]
    compiler = root.find("compiler")
    folders = {} if compiler is None else compiler.attrib
    named = [
        Path(folders.get(key, ""), file)
        for tag, key in (("mesh", "meshdir"), ("texture", "texturedir"))
        for element in root.iter(tag)
        if (file := element.get("file"))
    ]
    return [f"{path.name} names {file}, which is missing" for file in named if not (path.parent / file).is_file()]


def _own_files(folder: Path) -> str:
    """Whether LIBERO's own files in the archive are LIBERO's: the archive stands in the place of all assets."""
    lines = files("vla_bench.envs.libero").joinpath("upstream.txt").read_text(encoding="utf-8").splitlines()
    own = [line.split(" assets/", 1) for line in lines if " assets/" in line and not line.startswith("#")]
    same = sum(_is_blob(folder / name, digest) for digest, name in own)
    return f"{same} of LIBERO's own {len(own)} files are equal to LIBERO's"


def _is_blob(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    data = path.read_bytes()
    found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return found[: len(digest)] == digest


ARCHIVE: Final = AssetSet(
    name="libero_plus",
    title="LIBERO-Plus's archive of scenes, textures and objects",
    suites=("libero_plus",),
    archives=(
        AssetArchive(
            url="https://huggingface.co/datasets/Sylvest/LIBERO-plus/resolve/main/assets.zip", size_bytes=6_400_000_000
        ),
    ),
    unpacked_bytes=0,
    origin="https://huggingface.co/datasets/Sylvest/LIBERO-plus, named by github.com/sylvestf/LIBERO-plus",
    terms="none stated: LIBERO-Plus has no licence file (LIBERO is MIT); the objects come from other collections",
    marker=("scenes", "new_objects", "textures"),
    inner="assets",
    check=_check,
    lacking=_lacking,
    other_way="run --suite libero_plus_open, the 6,983 tasks that need none of it, on a board of their own",
)
