"""The client of a leaderboard's write API, for `submit`, workers and moderators: an answer, or one clear error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import httpx2

from vla_bench.spec.errors import BoardUnreachable, SubmissionRefused, UsageError

__all__ = ["BoardClient", "LeaseOver", "NotThere", "ReplayBoard"]

TIMEOUT_S = 60.0
PART_TIMEOUT_S = 300.0
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+")


class LeaseOver(Exception):
    """Raised when somebody else has, or nobody has any longer, what was leased."""


class NotThere(SubmissionRefused):
    """Raised when a board has nothing at an address."""


class ReplayBoard(Protocol):
    """A board as a replay worker sees it.

    Its methods raise `BoardUnreachable` where it does not answer, `LeaseOver` where somebody else has the replay, and
    `SubmissionRefused` for any other no.
    """

    def twin(self) -> ReplayBoard:
        """Another line to the same board, for another thread."""
        ...

    def close(self) -> None:
        """Close the line."""
        ...

    def claim(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Lease replays; `wanted` and the jobs are as the API has them."""
        ...

    def trace(self, replay_id: int, lease: str) -> bytes:
        """The recorded actions, packed."""
        ...

    def renew(self, replay_id: int, lease: str) -> None:
        """Keep a lease for another while."""
        ...

    def release(self, replay_id: int, lease: str) -> None:
        """Give a replay back unmade."""
        ...

    def report(self, replay_id: int, lease: str, told: Mapping[str, Any]) -> str:
        """Say what came of it (agreement, reasons, fingerprint); returns the state that it is in now."""
        ...


class BoardClient:
    """A connection to one leaderboard, under one token or, to read, under none. A context manager."""

    def __init__(self, url: str, token: str = "") -> None:
        """Name the board; nothing is sent yet.

        Raises:
            UsageError: that is no address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not _HOST.fullmatch(parts.hostname):
            raise UsageError(f"--server takes the address of a leaderboard, http(s)://HOST[:PORT], not {url!r}")
        if parts.username is not None:
            # Not repeated: the address stands in messages, and what is before the @ is a secret.
            raise UsageError("--server takes an address without a user name: a board knows tokens only")
        self.url, self._token = url.rstrip("/"), token
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def twin(self) -> BoardClient:
        """Another connection to the same board, for another thread."""
        return BoardClient(self.url, self._token)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get(self, path: str) -> dict[str, Any]:
        """Ask for a JSON document; raises as `call`."""
        return _document(self.url, self.call("GET", path))

    def post(self, path: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a JSON document and return the answer; raises as `call`."""
        answer = self.call("POST", path, json=dict(content or {}))
        return _document(self.url, answer) if answer.content else {}

    def claim(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See `ReplayBoard`."""
        jobs: list[dict[str, Any]] = self.post("replays/claim", wanted)["jobs"]
        return jobs

    def trace(self, replay_id: int, lease: str) -> bytes:
        """See `ReplayBoard`."""
        return self.call("GET", f"replays/{replay_id}/trace", params={"lease": lease}).content

    def renew(self, replay_id: int, lease: str) -> None:
        """See `ReplayBoard`."""
        self.post(f"replays/{replay_id}/renew", {"lease": lease})

    def release(self, replay_id: int, lease: str) -> None:
        """See `ReplayBoard`."""
        self.post(f"replays/{replay_id}/release", {"lease": lease})

    def report(self, replay_id: int, lease: str, told: Mapping[str, Any]) -> str:
        """See `ReplayBoard`."""
        return str(self.post(f"replays/{replay_id}/report", {"lease": lease, **told})["state"])

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Make one request below `/api/v1`.

        Raises:
            BoardUnreachable: no answer, or one that says to come again.
            UsageError: the token is refused, or may not do this.
            LeaseOver: a lease is over.
            SubmissionRefused: any other no; the message is the board's own.
        """
        try:
            answer = self._client.request(method, f"{self.url}/api/v1/{path}", **options)
        except httpx2.HTTPError as error:
            raise self._silent(error) from error
        if answer.status_code < 300:
            return answer
        raise _error(self.url, answer)

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[httpx2.Response]:
        """Ask for a long answer below `/api/v1`, to be read piece by piece: 200, 206 or 416; raises as `call`."""
        wanted = {"Accept": "*/*", "Accept-Encoding": "identity", **headers}
        try:
            with self._client.stream("GET", f"{self.url}/api/v1/{path}", headers=wanted) as answer:
                if answer.status_code not in (200, 206, 416):
                    answer.read()
                    raise _error(self.url, answer)
                yield answer
        except httpx2.HTTPError as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> BoardUnreachable:
        why = str(error) or type(error).__name__
        return BoardUnreachable(f"{self.url} does not answer ({why}). Repeat the command to go on.")


def _document(url: str, answer: httpx2.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{url} is no leaderboard of this version: its answer is no JSON document")
    return found


def _error(url: str, answer: httpx2.Response) -> Exception:
    try:
        said = answer.json()
        detail, kind = str(said.get("detail", "")), str(said.get("type", "")).rpartition("/")[2]
    except (ValueError, AttributeError):
        detail, kind = "", ""
    status, detail = answer.status_code, detail or f"status {answer.status_code}"
    if status == 401:
        return UsageError(f"{url} refuses the token: {detail}")
    if status == 403:
        return UsageError(f"{url}: {detail}")
    if status in (429, 502, 503, 504) or status >= 500:
        wait = answer.headers.get("retry-after", "")
        return BoardUnreachable(f"{url}: {detail}.{f' Come again in {wait} s.' if wait else ''}")
    if status < 400 or (status == 404 and not kind):
        return UsageError(f"{url} is no leaderboard of this version: it answers with status {status}")
    if status == 404:
        return NotThere(detail)
    if kind == "lease-over":
        return LeaseOver(detail)
    return SubmissionRefused(detail)
