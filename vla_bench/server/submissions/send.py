"""`submit`: a stored run becomes a submission. The same call again goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_bench.results.store import Store
from vla_bench.server.client import PART_TIMEOUT_S, BoardClient
from vla_bench.server.submissions.bundle import BundleFacts, write_bundle
from vla_bench.server.submissions.declaration import Declaration
from vla_bench.spec.errors import BoardUnreachable, SubmissionRefused

__all__ = ["Progress", "Submitted", "submit"]

PART_BYTES = 8 << 20
"""Small enough to be sent again, large enough that ten thousand of them are more than a bundle may have."""
TRIES = 4
WAIT_S = (1.0, 3.0, 10.0)
POLL_S = 0.25
PATIENCE_S = 600.0
_BEFORE_THE_VERDICT = ("sealed", "checking")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a submission is: `stage` is `bundle`, `upload` or `check`; bytes are of the bundle."""

    stage: str
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A submission that was sealed.

    Attributes:
        id, url: of its page.
        state: when this was returned; `sealed` or `checking` where nobody waited.
        bundle_digest, bundle_bytes: what was sent.
        n_sent, n_kept: parts sent now, and those that an earlier call had sent.
        run, score_line: what was submitted.
    """

    id: str
    url: str
    state: str
    bundle_digest: str
    bundle_bytes: int
    n_sent: int
    n_kept: int
    run: str
    score_line: str


def submit(
    client: BoardClient,
    store: Store,
    run_name: str,
    declaration: Declaration,
    *,
    waits: bool = True,
    told: Callable[[Progress], None] = lambda progress: None,
) -> Submitted:
    """Bundle a run, send what the board has not, seal it, and wait until it is listed or refused.

    Args:
        client: of the board.
        store: that has the run.
        run_name: of the run.
        declaration: what no episode can show.
        waits: for the verdict of the checks.
        told: hears how far it is.

    Raises:
        UnknownRun, UsageError, IncompleteRun: the run cannot be submitted; nothing was sent.
        SubmissionRefused: the board says no; the message has every reason.
        BoardUnreachable: it does not answer; the same call goes on.
    """
    with tempfile.TemporaryDirectory(prefix="vla-bench-") as folder:
        told(Progress(stage="bundle"))
        facts = write_bundle(store, run_name, declaration, Path(folder) / "bundle")
        opened = client.post("submissions", _announcement(facts, declaration))
        n_sent, n_kept = _send(client, opened, facts, told)
    submission_id = str(opened["id"])
    state = str(client.post(f"submissions/{submission_id}/seal")["state"])
    if waits:
        state = _wait(client, submission_id, told)
    return Submitted(
        id=submission_id,
        url=f"{client.url}/submissions/{submission_id}",
        state=state,
        bundle_digest=facts.digest,
        bundle_bytes=facts.size,
        n_sent=n_sent,
        n_kept=n_kept,
        run=run_name,
        score_line=facts.summary.score_line,
    )


def _announcement(facts: BundleFacts, declaration: Declaration) -> dict[str, Any]:
    summary = facts.summary
    return {
        "run_name": summary.name,
        "suite": summary.suite,
        "protocol": summary.protocol,
        "plan_hash": summary.plan_hash,
        "policy_digest": summary.policy_digest,
        "eval_hash": summary.eval_hash,
        "bundle_digest": facts.digest,
        "bundle_size": facts.size,
        "declaration": declaration.model_dump(),
    }


def _send(
    client: BoardClient, opened: dict[str, Any], facts: BundleFacts, told: Callable[[Progress], None]
) -> tuple[int, int]:
    """Send the parts that the board has not; returns how many were sent and how many it had."""
    there = {part["number"]: part["digest"] for part in opened["parts"]}
    n_sent = n_kept = done = 0
    for number, data in enumerate(_parts(facts.path, min(PART_BYTES, opened["part_bytes"])), start=1):
        digest = hashlib.sha256(data).hexdigest()
        if there.get(number) == digest:
            n_kept += 1
        else:
            _put(client, f"submissions/{opened['id']}/parts/{number}", data, digest)
            n_sent += 1
        done += len(data)
        told(Progress(stage="upload", done_bytes=done, total_bytes=facts.size))
    return n_sent, n_kept


def _parts(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(size):
            yield data


def _put(client: BoardClient, path: str, data: bytes, digest: str) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-Part-Digest": digest}
    for attempt in range(TRIES):
        try:
            client.call("PUT", path, content=data, headers=headers, timeout=PART_TIMEOUT_S)
            return
        except BoardUnreachable:
            if attempt + 1 == TRIES:
                raise
            time.sleep(WAIT_S[attempt])


def _wait(client: BoardClient, submission_id: str, told: Callable[[Progress], None]) -> str:
    told(Progress(stage="check"))
    end = time.monotonic() + PATIENCE_S
    while True:
        found = client.get(f"submissions/{submission_id}")
        state = str(found["state"])
        if state == "refused":
            raise SubmissionRefused(*(found.get("reasons") or [str(found["reason"])]))
        if state not in _BEFORE_THE_VERDICT or time.monotonic() > end:
            return state
        time.sleep(POLL_S)
