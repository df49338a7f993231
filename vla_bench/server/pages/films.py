"""`FilmCabinet`: films of episodes, made when somebody asks, by replay in a child process, and kept within a limit.

The child (`vla_bench.server.pages.filming`) holds the simulator: it has a time limit, and is killed with its whole
process group when that is over or when the service ends. One is made at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import structlog

from vla_bench.envs.registry import find_suite
from vla_bench.harness.replay.verify import check_is_replayable
from vla_bench.results.exports.encoder import check_encoder
from vla_bench.results.store import Store
from vla_bench.server.problems import Problem
from vla_bench.spec.errors import VlaBenchError

__all__ = ["FilmCabinet", "StoredFilm"]

MAX_BYTES = 512 << 20
WAIT_S = 20.0
"""How long whoever asked waits for it; it goes on being made after that."""
LIMIT_S = 180.0
"""The longest replay."""
MOST_FAILURES = 500
"""Episodes whose last failure is remembered; the oldest is forgotten, and says nothing of it any more."""
_INDEX = "index.json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFilm:
    """A film on disk.

    Attributes:
        key: digest of the trace.
        folder: its files.
        agreement: of the replay with the recording, `bit` or `outcome`.
        stills: file name and step.
        width, height: of a still, pixels.
        video: file name, empty where this machine encodes none.
        video_width, video_height: pixels.
    """

    key: str
    folder: Path
    agreement: str
    stills: tuple[tuple[str, int], ...]
    width: int
    height: int
    video: str
    video_width: int
    video_height: int

    def file(self, name: str) -> Path | None:
        """One of its files; None for any other name."""
        known = {self.video, *(still for still, _ in self.stills)} - {""}
        path = self.folder / name if name in known else None
        return path if path and path.is_file() else None


class FilmCabinet:
    """A folder of films. Safe to use from several threads; several processes may share the folder."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, limit_s: float = LIMIT_S) -> None:
        """Name the folder; it is made when the first film is.

        Args:
            folder: of the films.
            max_bytes: beyond it the films that were looked at longest ago go.
            limit_s: seconds that one replay may take.
        """
        self._folder, self._max_bytes, self._limit_s = folder, max_bytes, limit_s
        self._lock = threading.Lock()
        self._busy = ""
        self._failures: dict[str, str] = {}
        self._obstacles: dict[tuple[str, str], str] = {}

    def find(self, key: str) -> StoredFilm | None:
        """The film of a trace, where it was made."""
        if not key:
            return None
        folder = self._folder / key
        try:
            content = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            os.utime(folder)
        except (OSError, ValueError):
            return None
        stills = tuple((str(name), int(step)) for name, step in content.pop("stills"))
        return StoredFilm(key=key, folder=folder, stills=stills, **content)

    def obstacle(self, suite: str, protocol: str, *, has_trace: bool) -> str:
        """Why no film of a suite's episode can be made here, in a sentence; empty where one can."""
        if not has_trace:
            return "No trace of this episode is stored here, so it cannot be replayed and no picture can be made."
        place = (suite, protocol)
        if place not in self._obstacles:
            self._obstacles[place] = _obstacle(suite, protocol)
        return self._obstacles[place]

    def state(self, key: str) -> str:
        """What became of the last try, in a sentence; empty where there was none."""
        if key and self._busy == key:
            return "The pictures are being made. Reload this page in some seconds."
        return self._failures.get(key, "")

    def make(self, store: Store, run: str, episode_id: str, key: str) -> StoredFilm | None:
        """Replay an episode and keep its pictures; returns after `WAIT_S` at the latest.

        Raises:
            Problem: 503, another film is being made.
        """
        if found := self.find(key):
            return found
        if not self._lock.acquire(timeout=0 if self._busy != key else WAIT_S):
            said = "Another episode is being replayed; one is made at a time. Try again in a minute."
            raise Problem(503, said, kind="busy", headers={"Retry-After": "30"})
        if found := self.find(key):
            self._lock.release()
            return found
        self._busy = key
        order = {
            "database": store.location.url.render_as_string(hide_password=False),
            "traces": store.traces_url,
            "run": run,
            "episode": episode_id,
        }
        thread = threading.Thread(target=self._work, args=(order, key), name="film", daemon=True)
        thread.start()
        thread.join(WAIT_S)
        return self.find(key)

    def _work(self, order: dict[str, str], key: str) -> None:
        """Hold the lock until the child is gone."""
        unfinished = self._folder / f".{key}.{os.getpid()}"
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            self._failures.pop(key, None)
            said = _run_child({**order, "folder": str(unfinished)}, self._limit_s)
            if said:
                self._note_failure(key, said)
                return
            shutil.rmtree(self._folder / key, ignore_errors=True)
            unfinished.rename(self._folder / key)
            self._make_room(key)
        except OSError as error:
            log.error("film_failed", key=key, error=str(error))
            self._note_failure(key, "The pictures could not be stored.")
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            self._busy = ""
            self._lock.release()

    def _note_failure(self, key: str, said: str) -> None:
        self._failures[key] = said
        while len(self._failures) > MOST_FAILURES:
            del self._failures[next(iter(self._failures))]

    def _make_room(self, newest: str) -> None:
        films = [path for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        films.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in films:
            total += sum(file.stat().st_size for file in path.iterdir())
            if total > self._max_bytes and path.name != newest:
                shutil.rmtree(path, ignore_errors=True)


def _obstacle(suite: str, protocol: str) -> str:
    try:
        found = find_suite(suite, protocol)
        check_is_replayable(found)
    except VlaBenchError as error:
        return f"No picture can be made on this server: {error}"
    return "" if found.cameras else f"{found.title} renders no pictures."


def _run_child(order: dict[str, str], limit_s: float) -> str:
    """Make a film in a child process; returns why there is none, empty where there is."""
    try:
        check_encoder()
        has_video = True
    except VlaBenchError:
        has_video = False
    # Its orders come by standard input: an address of a database may hold a password, and arguments are everybody's.
    child = subprocess.Popen(
        [sys.executable, "-m", "vla_bench.server.pages.filming"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = child.communicate(json.dumps({**order, "video": has_video}).encode(), timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"The replay took longer than {limit_s:.0f} s and was stopped."
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode == 0:
        return ""
    said = out.decode("utf-8", "replace").strip().splitlines()
    log.warning("film_refused", run=order["run"], episode=order["episode"], said=said[-1] if said else "")
    return said[-1] if said else "The replay broke off."
