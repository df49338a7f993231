"""SQLite on a network file system, where its write-ahead log corrupts and its locks cannot be trusted.

There no file is written by two processes. What is there already is read into memory (`open_view`), so that runs are
listed and resumed as anywhere else; a process that begins a run writes it to a file of its own (`own_file`), and the
user puts the files together with `vla-bench merge`.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from os import getpid
from pathlib import Path
from typing import NamedTuple

import psutil

from vla_bench.results.copying import copy_run
from vla_bench.results.database import Database, Location, locate
from vla_bench.results.reading import run_names
from vla_bench.results.schema import prepare_schema
from vla_bench.spec.errors import RunMismatch, StoreError

__all__ = ["Mount", "network_kind", "open_view", "own_file", "result_files"]

NETWORK_KINDS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
    "fuse.quobyte", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs",
})  # fmt: skip


class Mount(NamedTuple):
    """A mounted file system: where, and of which kind (`nfs4`)."""

    point: str
    kind: str


def network_kind(path: Path, mounts: Sequence[Mount] | None = None) -> str:
    """The kind of network file system that a path is on; empty for a local one.

    Args:
        path: need not exist yet.
        mounts: in the order of mounting; those of this machine where None.
    """
    if mounts is None:
        mounts = [Mount(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    resolved = path.resolve()
    under = [mount for mount in mounts if resolved.is_relative_to(mount.point)]
    # The last of those mounted on the same point hides the others.
    nearest = max(enumerate(under), key=lambda item: (len(Path(item[1].point).parts), item[0]), default=None)
    return nearest[1].kind if nearest and nearest[1].kind.lower() in NETWORK_KINDS else ""


def open_view(location: Location, kind: str) -> tuple[Database, list[str]]:
    """Read what is there into memory: the named file and those of all processes.

    Returns:
        A read-only database, and what the user should be told.
    """
    assert location.path is not None, "only a file lies on a file system"
    own = own_file(location)
    parts = location.path.with_name(f"{location.path.stem}-*-*{location.path.suffix}")
    merge = f"vla-bench merge {parts} --db {location.path}"
    notice = (
        f"{location.path} is on a network file system ({kind}), where SQLite cannot share a file between processes: "
        f"a run of this process goes to {own.path}. Put the files together with: {merge}"
    )
    notices = [notice]
    view = Database(locate("sqlite://"), busy_timeout_s=0.0)
    prepare_schema(view)
    for path in result_files(location.path):
        notices += _read_into(view, path)
    view.location = replace(view.location, is_read_only=True, label=str(location), way_out=f"First: {merge}")
    return view, notices


def own_file(location: Location) -> Location:
    """The file of this process beside the named one: `results-HOST-PID.db`."""
    assert location.path is not None, "only a file lies on a file system"
    name = f"{location.path.stem}-{socket.gethostname().replace('/', '_')}-{getpid()}{location.path.suffix}"
    return replace(locate(location.path.with_name(name)), traces=location.traces)


def result_files(path: Path) -> list[Path]:
    """The named file and those of all processes beside it, as far as they are there."""
    parts = sorted(path.parent.glob(f"{path.stem}-*-*{path.suffix}"))
    return [path, *parts] if path.exists() else parts


def _read_into(view: Database, path: Path) -> list[str]:
    """Copy all runs of a file; returns what was left out and why."""
    left_out = []
    try:
        source = Database(locate(path, read_only=True), busy_timeout_s=5.0)
        try:
            prepare_schema(source)
            with source.read() as reader:
                for name in run_names(reader):
                    try:
                        with view.write() as writer:
                            copy_run(reader, writer, name)
                    except RunMismatch as error:
                        left_out.append(f"{path}: left out: {error}")
        finally:
            source.close()
    except StoreError as error:
        left_out.append(f"{path} was left out: {error}")
    return left_out
