"""A bundle over a bad line: from a server that breaks off, is busy, or is no board."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vla_bench.server.client import BoardClient
from vla_bench.server.fetching import download as module
from vla_bench.server.fetching.download import download
from vla_bench.spec.errors import BoardUnreachable, SubmissionRefused, UsageError

DATA = random.Random(5).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


class Line(BaseHTTPRequestHandler):
    """Sends at most `most` bytes of what is asked for, then hangs up; `busy` requests get 429 first."""

    most = len(DATA)
    busy = 0
    digest = DIGEST
    asked: list[str]

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked.append(self.headers.get("Range", ""))
        if kind.busy:
            kind.busy -= 1
            self.send_response(429)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if start and self.headers["If-Range"] != f'"{kind.digest}"':
            start = 0
        if start == len(DATA):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if kind.digest:
            self.send_header("X-Bundle-Digest", kind.digest)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : start + kind.most])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> type[Line]:
    monkeypatch.setattr(module, "WAIT_S", (0.0, 0.0, 0.0))
    return type("OneLine", (Line,), {"asked": []})


@pytest.fixture
def get(line: type[Line], tmp_path: Path) -> Iterator[Callable[[], tuple[Path, str]]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), line) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with BoardClient(f"http://127.0.0.1:{server.server_port}") as client:
            yield lambda: download(client, "runs/1/bundle", tmp_path / "fetched", lambda done, total: None)
        server.shutdown()
        thread.join()


def test_a_line_that_breaks_off_again_and_again_brings_all_of_it(
    line: type[Line], get: Callable[[], tuple[Path, str]]
) -> None:
    line.most = 70_000
    path, digest = get()
    assert (path.read_bytes(), digest) == (DATA, DIGEST)
    assert line.asked == ["", *(f"bytes={n}-" for n in range(70_000, 300_000, 70_000))]
    # Whole, and its caller died before he took it: nothing is sent again.
    assert get()[0].read_bytes() == DATA
    assert line.asked[-1] == "bytes=300000-"


def test_a_busy_board_is_asked_again(line: type[Line], get: Callable[[], tuple[Path, str]]) -> None:
    line.busy = 3
    assert get()[1] == DIGEST


def test_a_board_that_stays_silent_is_given_up(line: type[Line], get: Callable[[], tuple[Path, str]]) -> None:
    line.most = 0
    with pytest.raises(BoardUnreachable, match="Repeat the command"):
        get()
    assert len(line.asked) == 4


def test_half_of_another_bundle_is_no_beginning_of_this_one(
    line: type[Line], get: Callable[[], tuple[Path, str]]
) -> None:
    path, _ = get()
    other = path.with_name(path.name.replace(DIGEST, "0" * 64))
    path.unlink()
    other.write_bytes(b"something else")
    assert get()[0].read_bytes() == DATA
    assert not other.exists()


def test_bytes_that_are_not_those_named_are_deleted(line: type[Line], get: Callable[[], tuple[Path, str]]) -> None:
    line.digest = "1" * 64
    with pytest.raises(SubmissionRefused, match="the board names 1111111111111111"):
        get()
    line.digest = DIGEST
    assert get()[1] == DIGEST


def test_an_answer_without_a_digest_is_no_board(line: type[Line], get: Callable[[], tuple[Path, str]]) -> None:
    line.digest = ""
    with pytest.raises(UsageError, match="gives no bundles"):
        get()
