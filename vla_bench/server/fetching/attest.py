"""`attest`: what replays of a fetched run gave is told to the board that it came from."""

from __future__ import annotations

from dataclasses import dataclass

from vla_bench import __version__
from vla_bench.harness.replay import Agreement, Verification
from vla_bench.results.store import Store
from vla_bench.server.client import BoardClient, NotThere
from vla_bench.server.fetching.names import split_page
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import IncompleteRun, NotListed, UsageError

__all__ = ["Source", "find_source", "find_submission", "publish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fetched run came from.

    Attributes:
        board: address of the leaderboard.
        run_id: of the run there.
        bundle_digest: of the file that was fetched.
    """

    board: str
    run_id: str
    bundle_digest: str


def find_source(store: Store, run_name: str) -> Source:
    """Where a run came from.

    Raises:
        UnknownRun: there is no such run.
        UsageError: it was not fetched.
    """
    summary = store.summary(run_name)
    if not summary.fetched_from:
        raise UsageError(
            f"run {run_name!r} was not fetched from a leaderboard. Type first: vla-bench leaderboard fetch "
            "https://HOST/runs/12"
        )
    board, run_id = split_page(summary.fetched_from)
    return Source(board=board, run_id=run_id, bundle_digest=str(summary.origin.get("digest", "")))


def find_submission(client: BoardClient, source: Source) -> str:
    """The submission that brought the run to its board, asked for with the token that is going to be used.

    Raises:
        NotListed: the board has no such run any longer, or nobody submitted it.
        UsageError: the token is refused, or may not submit.
        BoardUnreachable: it does not answer.
    """
    if "submit" not in client.get("account")["scopes"]:
        raise UsageError("this token may not submit anything. Make one: vla-bench leaderboard token create ACCOUNT")
    try:
        found = str(client.get(f"runs/{source.run_id}")["row"]["submission_id"])
    except NotThere as error:
        raise NotListed(f"{source.board}/runs/{source.run_id}: {error}") from error
    if not found.isalnum():
        raise NotListed(f"{source.board}/runs/{source.run_id}: nobody submitted this run")
    return found


def publish(client: BoardClient, source: Source, submission_id: str, verification: Verification) -> str:
    """Send what was found; returns the address where everybody reads it.

    Raises:
        IncompleteRun: a replay came to no end here, or a trace cannot be read: that says nothing of the run.
        SubmissionRefused: the board says no, and why.
        UsageError: the token is refused, or may not do this.
        BoardUnreachable: it does not answer.
    """
    counts = verification.counts
    if n_silent := counts[Agreement.LOST] + counts[Agreement.UNREADABLE]:
        raise IncompleteRun(
            f"{n_silent} of {len(verification.results)} replays came to no end on this machine: nothing was published. "
            "Repeat the command"
        )
    machine = next((result.fingerprint for result in verification.results if result.fingerprint is not None), None)
    sample = verification.sample
    if machine is None or sample is None:
        raise IncompleteRun("nothing was replayed on this machine: nothing was published")
    form = {
        "bundle_digest": source.bundle_digest,
        "bit": counts[Agreement.BIT],
        "outcome": counts[Agreement.OUTCOME],
        "differs": counts[Agreement.DIFFERS],
        "n_findings": len(verification.findings),
        "seed": sample.seed,
        "machine": to_plain(machine),
        "harness": __version__,
    }
    client.post(f"submissions/{submission_id}/attestations", form)
    return f"{client.url}/submissions/{submission_id}#attestations"
