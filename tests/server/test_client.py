"""The client of a board, before whatever may answer at an address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vla_bench.server.client import BoardClient
from vla_bench.spec.errors import UsageError

ANSWERS = {"/api/v1/page": b"<html>sign in here</html>", "/api/v1/list": b"[1, 2]", "/api/v1/bytes": b"\xff\xfe"}


class Stranger(BaseHTTPRequestHandler):
    """A server that is no leaderboard and says 200 to everything, as portals of networks do."""

    def do_GET(self) -> None:
        body = ANSWERS[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["page", "list", "bytes"])
def test_a_server_that_is_no_leaderboard_is_named_as_such(stranger: str, path: str) -> None:
    with BoardClient(stranger, "vlab_x") as client, pytest.raises(UsageError, match="is no leaderboard"):
        client.get(path)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match="without a user name") as caught:
        BoardClient("https://ann:hunter2@board.example.org", "vlab_x")
    assert "hunter2" not in str(caught.value)
