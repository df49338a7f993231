"""Everything before the first episode: names are resolved, the policy is reached and bound. Nothing is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import family_of, find_suite
from vla_bench.envs.runtime.assets.needs import require_assets
from vla_bench.envs.runtime.place import place_of, with_fixed_renderer
from vla_bench.harness.config import RunConfig
from vla_bench.harness.executors.base import Executor, default_workers, executor_class
from vla_bench.harness.interrupts import undisturbed
from vla_bench.harness.replay_source import with_recorded_actions
from vla_bench.harness.routed_line import Line, bind_line, connect
from vla_bench.harness.settings import resolve_settings
from vla_bench.policies.resolve import ResolvedPolicy, RoutedPolicy, resolve_policy
from vla_bench.results.database import locate
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.spec.bind import Binding
from vla_bench.spec.episode import Episode, Shard, make_plan
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that could start now.

    Attributes:
        spec: what the store is told: name, suite, whole plan, settings, policy.
        episodes: those of this process's part of the plan.
        bindings: route → how policy and simulator are joined; one with an empty key for a policy without routes.
        options: how simulators are opened, the same for every route.
        line: the policy.
        store: where results go; None in a preview where there is no database yet.
        executor: class of the executor.
        n_workers: simulators at a time, if there are enough episodes.
    """

    spec: RunSpec
    episodes: tuple[Episode, ...]
    bindings: Mapping[str, Binding]
    options: EnvOptions
    line: Line
    store: Store | None
    executor: type[Executor]
    n_workers: int


@contextmanager
def prepare(config: RunConfig, *, read_only: bool = False) -> Iterator[Prepared]:
    """Resolve, open, reach and bind everything; free it all at the end, whatever happened meanwhile.

    What costs nothing is checked first: a mistyped task is found before a model is loaded.

    Args:
        config: the run.
        read_only: change no database and make none.

    Raises:
        UsageError: (a child) something in `config` is wrong.
        PolicyError: the policy cannot be reached.
        StoreError: the database cannot be opened.
    """
    stack = ExitStack()
    try:
        yield _prepare(config, stack, read_only=read_only)
    finally:
        with undisturbed():
            stack.close()


def _prepare(config: RunConfig, stack: ExitStack, *, read_only: bool) -> Prepared:
    suite = find_suite(config.suite, config.protocol)
    policy = resolve_policy(config.policy, config.policy_options) if isinstance(config.policy, str) else config.policy
    file_settings = policy.settings if isinstance(policy, (ResolvedPolicy, RoutedPolicy)) else {}
    settings = resolve_settings(config.settings, file_settings)
    plan = config.plan or make_plan(
        suite,
        tasks=config.tasks,
        tags=config.tags,
        sample=config.sample,
        sample_seed=config.sample_seed,
        n_trials=config.trials,
        repeats=config.repeats,
        policy_seed=settings.policy_seed,
    )
    episodes = Shard.parse(config.shard).of(plan) if config.shard else plan.episodes
    require_assets(family_of(suite), suite, {episode.task for episode in episodes})
    executor = executor_class(config.executor)
    store = _open_store(config, stack, read_only=read_only)
    if isinstance(policy, ResolvedPolicy):
        policy = with_recorded_actions(policy, store, stack)
    line = stack.enter_context(closing(connect(policy, suite, plan, config.deadlines, config.token)))
    bound = bind_line(line, suite, settings)
    settings = bound.settings
    options = with_fixed_renderer(suite, _env_options(tuple(bound.by_route.values()), settings, config))
    if executor.isolation == "process":
        # Found out here, not by every worker: an interpreter that lacks the suite, or no render back end.
        place_of(family_of(suite), options)
    spec = RunSpec(
        name=config.name or _run_name(line.info.name, suite),
        suite=suite,
        plan=plan,
        settings=settings,
        policy=line.info,
        command=config.command,
        shard=config.shard,
    )
    return Prepared(
        spec=spec,
        episodes=episodes,
        bindings=bound.by_route,
        options=options,
        line=line,
        store=store,
        executor=executor,
        n_workers=config.workers or default_workers(),
    )


def _open_store(config: RunConfig, stack: ExitStack, *, read_only: bool) -> Store | None:
    if read_only:
        path = locate(config.db, read_only=True).path
        if path is not None and not path.exists():
            return None
    opened = Store.open(config.db, config.traces, read_only=read_only, busy_timeout_s=config.db_wait_s)
    return stack.enter_context(opened)


def _env_options(bindings: Sequence[Binding], settings: EvalSettings, config: RunConfig) -> EnvOptions:
    """What the env must give so that every route gets what it wants, and no more: blind policies need no GL library."""
    wanted = dict.fromkeys(camera.name for binding in bindings for camera in binding.cameras)
    return EnvOptions(
        cameras=tuple(wanted),
        depth=any(binding.wants_depth for binding in bindings),
        privileged=any(binding.wants_privileged for binding in bindings),
        lazy=config.lazy,
        renderer=config.renderer,
        control_mode=settings.control_mode,
    )


def _run_name(policy: str, suite: Suite) -> str:
    """`<policy>-<suite>`, with the protocol where it is not the suite's default."""
    parts = [policy, suite.name]
    if find_suite(suite.name).protocol.id != suite.protocol.id:
        parts.append(suite.protocol.name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-")
