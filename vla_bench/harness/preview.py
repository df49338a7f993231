"""`--dry-run`: what a run would do, found out with everything but the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vla_bench.harness.config import RunConfig
from vla_bench.harness.prepare import prepare
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import UnknownRun
from vla_bench.spec.outcomes import Outcome

__all__ = ["RunPreview", "preview_run"]


@dataclass(frozen=True, kw_only=True)
class RunPreview:
    """What a run would do.

    Attributes:
        name: of the run.
        suite, protocol, policy, executor, database: names.
        plan_hash, eval_hash, policy_digest: its identity.
        shard: `i/n`, empty for the whole plan.
        cameras: pictures that would be rendered.
        n_workers: simulators at a time.
        n_planned: episodes of this part of the plan.
        n_judged, n_lost: of those, judged and lost in the run that is there already; lost ones would be run again.
        n_to_run: episodes that would be run.
        exists: a run of that name is there.
        differs: what it differs in (`plan`, `settings`, `policy`): the run would be refused. Empty where it goes on.
    """

    name: str
    suite: str
    protocol: str
    policy: str
    executor: str
    database: str
    plan_hash: str
    eval_hash: str
    policy_digest: str
    shard: str
    cameras: tuple[str, ...]
    n_workers: int
    n_planned: int
    n_judged: int
    n_lost: int
    n_to_run: int
    exists: bool
    differs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def preview_run(config: RunConfig) -> RunPreview:
    """Resolve, reach and bind everything that `execute_run` would, and change nothing.

    Raises:
        UsageError, PolicyError, StoreError: as `execute_run`, before its first episode.
    """
    with prepare(config, read_only=True) as prepared:
        spec, store = prepared.spec, prepared.store
        outcomes, differs = _what_is_there(store, spec) if store and not config.fresh else (None, ())
        mine = [(outcomes or {}).get(episode.id, Outcome.NOT_RUN) for episode in prepared.episodes]
        n_judged = sum(outcome.is_judged for outcome in mine)
        return RunPreview(
            name=spec.name,
            suite=spec.suite.name,
            protocol=spec.suite.protocol.id,
            policy=spec.policy.name,
            executor=config.executor,
            database=str(store.location) if store else config.db,
            plan_hash=spec.plan.plan_hash,
            eval_hash=spec.settings.eval_hash,
            policy_digest=spec.policy.digest,
            shard=spec.shard,
            cameras=prepared.options.cameras,
            n_workers=min(prepared.n_workers, len(mine) - n_judged),
            n_planned=len(mine),
            n_judged=n_judged,
            n_lost=len(mine) - n_judged - mine.count(Outcome.NOT_RUN),
            n_to_run=len(mine) - n_judged,
            exists=outcomes is not None,
            differs=differs,
        )


def _what_is_there(store: Store, spec: RunSpec) -> tuple[Mapping[str, Outcome] | None, tuple[str, ...]]:
    try:
        outcomes, summary = store.outcomes(spec.name), store.summary(spec.name)
    except UnknownRun:
        return None, ()
    pairs = {
        "plan": (summary.plan_hash, spec.plan.plan_hash),
        "settings": (summary.eval_hash, spec.settings.eval_hash),
        "policy": (summary.policy_digest, spec.policy.digest),
    }
    return outcomes, tuple(part for part, (stored, wanted) in pairs.items() if stored != wanted)
