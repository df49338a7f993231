"""`vla-bench plan`: the episodes that a run would make. Nothing is run and no simulator is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vla_bench.cli.options import (
    AsJson,
    Dimensions,
    Levels,
    PolicySeed,
    Protocol,
    Repeats,
    Sample,
    SampleSeed,
    ShardPart,
    SuiteName,
    Tasks,
    Trials,
    chosen_tags,
    examples,
)

if TYPE_CHECKING:
    from vla_bench.spec.episode import Episode, Plan

__all__ = ["app"]

app = typer.Typer(add_completion=False)
MOST_ROWS = 2000
"""More episodes than this are not printed one by one."""


@app.command(
    epilog=examples(
        "vla-bench plan --suite toy_reach --trials 2", "vla-bench plan --suite metaworld_mt10 --task reach-v3 --json"
    )
)
def plan(
    suite: SuiteName,
    protocol: Protocol = "",
    task: Tasks = None,
    dimension: Dimensions = None,
    level: Levels = None,
    sample: Sample = None,
    sample_seed: SampleSeed = 0,
    trials: Trials = None,
    repeats: Repeats = 1,
    seed: PolicySeed = 0,
    shard: ShardPart = "",
    as_json: AsJson = False,
) -> None:
    """Print the episodes that a run would make, and their hash.

    Runs on plans of equal hash can be compared episode by episode.
    """
    from vla_bench.envs.registry import find_suite
    from vla_bench.spec.episode import Shard, make_plan

    found = find_suite(suite, protocol)
    made = make_plan(
        found,
        tasks=task or (),
        tags=chosen_tags(dimension, level),
        sample=sample,
        sample_seed=sample_seed,
        n_trials=trials,
        repeats=repeats,
        policy_seed=seed,
    )
    episodes = Shard.parse(shard).of(made) if shard else made.episodes
    if as_json:
        _print_as_json(made, episodes, shard)
    else:
        _print_as_table(made, episodes, shard)


def _print_as_json(plan: Plan, episodes: tuple[Episode, ...], shard: str) -> None:
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.schemas import EpisodeModel, PlanModel
    from vla_bench.spec.canonical import to_plain

    model = PlanModel(
        plan_hash=plan.plan_hash,
        suite=plan.suite,
        protocol=plan.protocol,
        shard=shard,
        n_episodes=len(episodes),
        episodes=[EpisodeModel(id=episode.id, **to_plain(episode)) for episode in episodes],
    )
    print_json(model.model_dump())


def _print_as_table(plan: Plan, episodes: tuple[Episode, ...], shard: str) -> None:
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import plain_table

    table = plain_table("episode|", "task", "trial>", "repeat>", "env seed>", "policy seed>")
    for one in episodes[:MOST_ROWS]:
        table.add_row(one.id, one.task, str(one.trial), str(one.repeat), str(one.env_seed), str(one.policy_seed))
    console = answer()
    console.print(table)
    if len(episodes) > MOST_ROWS:
        console.print(f"[dim]… and {len(episodes) - MOST_ROWS:,} more: --json prints all of them[/]")
    part = f" (shard {shard} of {len(plan)})" if shard else ""
    console.print(f"\n{len(episodes)} episodes{part} on {plan.suite} {plan.protocol}")
    console.print(f"plan_hash {plan.plan_hash}", soft_wrap=True)
