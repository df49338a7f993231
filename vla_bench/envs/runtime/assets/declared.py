"""`AssetSet`: what a family says of assets that its packages do not bring."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.envs.base import SuiteFamily
from vla_bench.spec.errors import UnknownSuite
from vla_bench.spec.names import match_name

__all__ = ["STANDIN_FILE", "AssetArchive", "AssetReport", "AssetSet", "assets_of", "find_assets"]

STANDIN_FILE = "STANDIN"
"""A file of this name in a folder of assets says that they are made up; its text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetArchive:
    """A file to download: zip or tar, by its ending.

    Attributes:
        url: where it is.
        size_bytes: as published, roughly where `sha256` is empty.
        sha256: 64 hexadecimal digits; empty where the publisher gives none but with the download itself.
    """

    url: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetReport:
    """What a look at a folder of assets found.

    Attributes:
        faults: why it cannot be used, one sentence each; empty where it can.
        notes: what a user should know besides.
    """

    faults: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSet:
    """Assets that are installed together.

    Attributes:
        name: as typed, and the name of their folder.
        title: one line for people.
        suites: that cannot run all their tasks without.
        archives: files to download, unpacked into one folder.
        unpacked_bytes: of the folder, roughly; 0 where unknown.
        origin: the page that publishes them.
        terms: under which terms, as far as known, in words.
        marker: paths whose presence tells the folder of assets, wherever it is nested.
        keep: of what an archive holds, whether a file is kept, by its path inside that folder; None keeps all.
        inner: the name that this folder has to have, where code expects one; empty where it does not matter.
        check: looks whether a folder is whole.
        lacking: of these tasks, those whose assets a folder lacks; the folder is None where nothing is installed.
        other_way: how to do without, a clause; empty where there is no way.
    """

    name: str
    title: str
    suites: tuple[str, ...]
    archives: tuple[AssetArchive, ...]
    unpacked_bytes: int
    origin: str
    terms: str
    marker: tuple[str, ...]
    keep: Callable[[str], bool] | None = None
    inner: str = ""
    check: Callable[[Path], AssetReport]
    lacking: Callable[[Path | None, Collection[str]], Sequence[str]]
    other_way: str = ""

    @property
    def size_bytes(self) -> int:
        """To be downloaded."""
        return sum(archive.size_bytes for archive in self.archives)


def assets_of(family: SuiteFamily) -> tuple[AssetSet, ...]:
    """The sets that a family declares; most declare none."""
    return tuple(getattr(family, "assets", ()))


def find_assets(name: str) -> AssetSet:
    """A set by its name, or by that of a suite or a family that needs it.

    Raises:
        UnknownSuite: there is none.
    """
    from vla_bench.envs.registry import families

    sets = [(family, each) for family in families() for each in assets_of(family)]
    spellings = {each.name: each for _, each in sets}
    for family, each in sets:
        for spelling in (*each.suites, family.name):
            spellings.setdefault(spelling, each)
    match = match_name(name, spellings)
    if match is None:
        raise UnknownSuite(name, spellings)
    return spellings[match]
