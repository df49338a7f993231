"""The shapes of `--json` of `vla-bench submit` and of the leaderboard's accounts; see `vla_bench.cli.schemas`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from vla_bench.cli.replay_schemas import VerifyModel

__all__ = [
    "BOARD_MODELS", "AccountListModel", "AccountModel", "AttestModel", "ChallengeListModel", "ChallengeModel",
    "FetchModel", "SubmitModel", "TokenListModel", "TokenModel",
]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmitModel(_Model):
    """`vla-bench submit --json`: a submission that was sealed. `n_kept` parts were there from an earlier call."""

    id: str
    url: str
    state: str
    bundle_digest: str
    bundle_bytes: int
    n_sent: int
    n_kept: int
    run: str
    score_line: str


class FetchModel(_Model):
    """`vla-bench leaderboard fetch --json`: a run that is here now.

    `is_as_sealed` says whether the bundle is to the last byte what was submitted.
    """

    run: str
    url: str
    submission_id: str
    bundle_digest: str
    bundle_bytes: int
    is_as_sealed: bool
    n_episodes: int
    n_traces: int
    score_line: str


class AttestModel(_Model):
    """`vla-bench leaderboard attest --json`: where it is published, and what `verify --json` would say."""

    url: str
    verification: VerifyModel


class AccountModel(_Model):
    """An account; `n_tokens` are not revoked."""

    id: int
    name: str
    role: str
    created_at: str
    disabled_at: str | None
    n_tokens: int


class AccountListModel(_Model):
    """`vla-bench leaderboard account list --json`."""

    accounts: list[AccountModel]


class TokenModel(_Model):
    """A token without its secret, which is kept nowhere. Moments are UTC, ISO 8601; null where there is none."""

    id: str
    account_id: int
    account: str
    scopes: list[str]
    label: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class TokenListModel(_Model):
    """`vla-bench leaderboard token list --json`."""

    tokens: list[TokenModel]


class ChallengeModel(_Model):
    """A challenge; `seed` is null, and the plan nobody's knowledge, until it is closed."""

    id: int
    submission_id: str
    run_name: str
    policy_digest: str
    image_digest: str
    plan_hash: str
    seed: int | None
    issued_by: str
    issued_at: str
    run_id: int | None
    closed_at: str | None


class ChallengeListModel(_Model):
    """`vla-bench leaderboard challenge list --json`."""

    challenges: list[ChallengeModel]


BOARD_MODELS: dict[str, type[BaseModel]] = {
    "submit": SubmitModel,
    "leaderboard fetch": FetchModel,
    "leaderboard attest": AttestModel,
    "leaderboard account list": AccountListModel,
    "leaderboard token list": TokenListModel,
    "leaderboard challenge list": ChallengeListModel,
}
"""By command."""
