"""Bundles as the board gives them: written from the store when somebody asks, and kept for who asks next.

A submission's own file goes when its run is listed. From the rows and traces of the run it is written again, with the
same bytes where the versions of vla-bench and zstd are the same.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from vla_bench.results.faults import file_errors
from vla_bench.results.store import Store
from vla_bench.server.boards.reading.run import find_run_row
from vla_bench.server.problems import RETRY_S, Problem
from vla_bench.server.settings import Settings
from vla_bench.server.submissions.bundle import write_bundle
from vla_bench.server.submissions.declaration import Declaration
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.states import find_submission

__all__ = ["MOST_KEPT", "KeptBundle", "kept_bundle"]

MOST_KEPT = 8
"""Files that are kept; the one that was asked for longest ago goes first."""
_FOLDER = "bundles"
_NAME = re.compile(r"([0-9a-z]+)-([0-9a-f]{64})\.bundle")
_ABANDONED_S = 3600.0
"""A file that is still being written after this time has lost its writer."""
_writing = threading.Lock()
"""One bundle at a time: each takes memory for its tables and a core for its compression."""


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """A bundle of a listed run.

    Attributes:
        path: of the file.
        digest: SHA-256 that it had when it was written.
        submission_id: that brought the run.
    """

    path: Path
    digest: str
    submission_id: str


@dataclass(frozen=True, slots=True)
class _Listed:
    submission_id: str
    stored_name: str
    name: str
    harness: str
    declaration: Declaration


def kept_bundle(store: Store, settings: Settings, run_id: int) -> KeptBundle:
    """The bundle of a run that a board shows, tombstones too: what the log says of them can be checked as well.

    Raises:
        NotListed: no board shows such a run.
        Problem: 404, no submission brought it; 503, another bundle is being written.
        StoreError: (a child) it cannot be read or written.
    """
    listed = _find(store, run_id)
    folder = PartFolder.of(settings, store, _FOLDER).path
    if store.location.is_read_only:
        raise Problem(404, "this database is opened for reading only, and gives no bundles", kind="no-bundle")
    if (found := _kept(folder, listed.submission_id)) is not None:
        return found
    if not _writing.acquire(blocking=False):
        raise Problem(503, "another bundle is being written: ask again", kind="busy",
                      headers={"Retry-After": str(RETRY_S)})  # fmt: skip
    try:
        return _kept(folder, listed.submission_id) or _write(store, folder, listed)
    finally:
        _writing.release()


def _find(store: Store, run_id: int) -> _Listed:
    with store.database.read() as connection:
        row = find_run_row(connection, run_id)
        if not row["submission_id"]:
            raise Problem(404, f"run {run_id} has no bundle: this board's own people made it, and nobody submitted it",
                          kind="no-bundle")  # fmt: skip
        submission = find_submission(connection, row["submission_id"])
    return _Listed(
        submission_id=submission["id"],
        stored_name=row["run_name"],
        name=submission["run_name"],
        harness=row["harness"],
        declaration=Declaration(**submission["declaration"]),
    )


def _kept(folder: Path, submission_id: str) -> KeptBundle | None:
    for path in folder.glob(f"{submission_id}-*.bundle"):
        if match := _NAME.fullmatch(path.name):
            with file_errors(str(path)):
                path.touch()
            return KeptBundle(path, match[2], submission_id)
    return None


def _write(store: Store, folder: Path, listed: _Listed) -> KeptBundle:
    with file_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder)
        temporary = folder / f".{listed.submission_id}.{secrets.token_hex(4)}"
        try:
            facts = write_bundle(
                store, listed.stored_name, listed.declaration, temporary, name=listed.name, harness=listed.harness
            )
            path = folder / f"{listed.submission_id}-{facts.digest}.bundle"
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return KeptBundle(path, facts.digest, listed.submission_id)


def _make_room(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    kept = [path for path in files if path.suffix == ".bundle"]
    abandoned = time.time() - _ABANDONED_S
    worn = [path for path in files if path.name.startswith(".") and path.stat().st_mtime < abandoned]
    for path in (*kept[MOST_KEPT - 1 :], *worn):
        path.unlink(missing_ok=True)
