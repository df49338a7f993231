"""Attestations: somebody replayed a listed run on a machine of their own, and says in public what came of it.

Each is a line of the public log, under the name of its account, and nothing else: it is that account's word, which no
mark and no rank depends on. Replays that the board draws itself decide those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.engine import Connection

from vla_bench.results.tables import EPISODE
from vla_bench.server.accounts.people import Principal
from vla_bench.server.audit import count_of_day, write_audit
from vla_bench.server.boards.views import LogEntry
from vla_bench.server.problems import Problem
from vla_bench.server.submissions.bundle.manifest import Count, MachineLine
from vla_bench.server.submissions.states import LISTED, find_submission

__all__ = ["ATTESTED", "AttestationForm", "Attested", "attest", "attestations_of"]

ATTESTED = "attested"
MOST_A_DAY = 10
"""Attestations that one account gives in a day."""


class AttestationForm(BaseModel):
    """What came of replaying a run's recorded actions.

    Attributes:
        bundle_digest: SHA-256 of the file that was fetched; the submission's own where the board's versions are still
            those that sealed it.
        bit: episodes whose every compared state was equal.
        outcome: episodes whose outcome was, on another machine than the recording's.
        differs: episodes whose recorded outcome is not what the actions give.
        n_findings: places where the run contradicts itself or the suite as installed there.
        seed: of the sample, so that others draw the same; None where all were replayed.
        machine: fingerprint of the replays' machine.
        harness: version of vla-bench.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bit: Count
    outcome: Count
    differs: Count
    n_findings: Count
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    machine: MachineLine
    harness: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]

    @property
    def n_replayed(self) -> int:
        """Episodes of which something is said."""
        return self.bit + self.outcome + self.differs

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.n_replayed:
            raise ValueError("no episode was replayed: there is nothing to attest")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """An attestation as everybody may see it: `n_judged` are the run's episodes, the rest as in `AttestationForm`."""

    by: str
    at: str
    bundle_digest: str
    n_replayed: int
    n_judged: int
    bit: int
    outcome: int
    differs: int
    n_findings: int
    seed: int | None
    machine: Mapping[str, Any]
    harness: str


def attestations_of(log: Iterable[LogEntry]) -> tuple[Attested, ...]:
    """The attestations among the lines of a submission's log, oldest first."""
    return tuple(
        Attested(by=line.actor, at=line.at, **line.detail) for line in log if line.action == ATTESTED
    )  # fmt: skip


def attest(connection: Connection, submission_id: str, form: AttestationForm, *, by: Principal) -> None:
    """Write down what somebody's replays of a listed run gave.

    Raises:
        Problem: 403 for one's own run; 409 where it is not listed; 422 for more episodes than it has; 429, too many in
            a day.
    """
    found = find_submission(connection, submission_id)
    if found["state"] not in LISTED:
        raise Problem(409, f"submission {submission_id} is {found['state']}: no number of it stands on a board")
    if found["account_id"] == by.account_id:
        raise Problem(403, "a run is attested by others than its submitter")
    of_run = sa.select(sa.func.count()).select_from(EPISODE).where(EPISODE.c.run_id == found["run_id"])
    n_judged = connection.scalar(of_run) or 0
    if form.n_replayed > n_judged:
        raise Problem(422, f"the run has {n_judged} episodes, {form.n_replayed} are said to have been replayed")
    if count_of_day(connection, by.name, ATTESTED) >= MOST_A_DAY:
        raise Problem(429, f"an account attests at most {MOST_A_DAY} runs a day", headers={"Retry-After": "86400"})
    detail = form.model_dump() | {"n_replayed": form.n_replayed, "n_judged": n_judged}
    write_audit(connection, by.name, ATTESTED, "submission", submission_id, detail)
