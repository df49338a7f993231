"""`vla-bench run`: the plan of a suite against a policy, resumable by the same command."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import typer

from vla_bench.cli.options import (
    AsJson,
    Db,
    Dimensions,
    Levels,
    PolicyName,
    PolicyOptions,
    PolicySeed,
    Protocol,
    Repeats,
    Sample,
    SampleSeed,
    ShardPart,
    SuiteName,
    Tasks,
    Traces,
    Trials,
    chosen_tags,
    examples,
    parse_options,
    read_token,
    typed_command,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)

SETTINGS, HOW, RESULTS, POLICY = (
    "Evaluation settings (part of the eval hash)",
    "How to run",
    "Where results go",
    "Which policy",
)


def _setting(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=SETTINGS, show_default=False)


def _how(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=HOW)


@app.command(
    epilog=examples(
        "vla-bench run --policy expert --suite toy_reach --trials 2",
        "vla-bench run --policy http://127.0.0.1:8600 --suite toy_reach",
        "vla-bench run -p expert -o noise=0.1 -s metaworld_mt10 --protocol compact --dry-run",
    )
)
def run(
    ctx: typer.Context,
    policy: PolicyName,
    suite: SuiteName,
    option: PolicyOptions = None,
    token_env: Annotated[
        str, typer.Option(help="Environment variable with the server's bearer token.", rich_help_panel=POLICY)
    ] = "",
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
    replan_horizon: Annotated[
        int | None, _setting("Actions kept of each chunk; the whole chunk where not given.")
    ] = None,
    resize: Annotated[str | None, _setting("How pictures come to the policy's size: refuse, stretch or pad.")] = None,
    crop: Annotated[float | None, _setting("Side of the centred crop, a fraction.")] = None,
    jpeg_quality: Annotated[int | None, _setting("Pass pictures through JPEG of this quality; 0 for never.")] = None,
    ensembling: Annotated[float | None, _setting("Weight of temporal ensembling; wants --replan-horizon 1.")] = None,
    sticky_gripper: Annotated[int | None, _setting("Steps for which a changed gripper command is held.")] = None,
    control_mode: Annotated[str | None, _setting("The suite's controller.")] = None,
    clip_actions: Annotated[bool | None, _setting("Clip actions to the suite's bounds.", "--clip-actions")] = None,
    repeated_policy_errors: Annotated[
        str | None, _setting("What a policy's fault that repeats with the same seeds counts as: lost or failure.")
    ] = None,
    workers: Annotated[
        int | None, _how("Simulators at a time; as many as cores where not given.", "--workers", "-w")
    ] = None,
    executor: Annotated[str, _how("How attempts are spread: local, inline.")] = "local",
    max_attempts: Annotated[int, _how("Tries per lost episode.")] = 3,
    server_wait: Annotated[float, _how("Seconds to wait for a server that went away.")] = 30.0,
    act_timeout: Annotated[float, _how("Seconds that an answer may take.")] = 30.0,
    first_act_timeout: Annotated[float, _how("Seconds that the first answer may take.")] = 300.0,
    env_timeout: Annotated[float, _how("Seconds that a call of the simulator may take.")] = 30.0,
    renderer: Annotated[str, _how("Render back end; the first one that works where empty.")] = "",
    every_step_rendering: Annotated[
        bool, _how("Render at every step: slower, equal results.", "--every-step-rendering")
    ] = False,
    yes: Annotated[bool, _how("Create the suite's environment where it is missing.", "--yes", "-y")] = False,
    dry_run: Annotated[
        bool, _how("Check everything that can be checked, say what would be run, run nothing.", "--dry-run")
    ] = False,
    name: Annotated[
        str, typer.Option(help="Name of the run; made of policy and suite where empty.", rich_help_panel=RESULTS)
    ] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew under a numbered name.", rich_help_panel=RESULTS)
    ] = False,
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Run a policy through a suite and print how often it succeeds.

    The same command goes on where it stopped. Exit code 3 says that episodes are missing: then no rate is printed.
    """
    from vla_bench.cli.running import create_missing_env, print_preview_of, run_and_print
    from vla_bench.harness.config import RunConfig
    from vla_bench.policies.base import Deadlines

    config = RunConfig(
        policy=policy,
        suite=suite,
        policy_options=parse_options(option),
        protocol=protocol,
        tasks=tuple(task or ()),
        tags=chosen_tags(dimension, level),
        sample=sample,
        sample_seed=sample_seed,
        trials=trials,
        repeats=repeats,
        shard=shard,
        settings=_settings(ctx, seed),
        name=name,
        fresh=fresh,
        db=db,
        traces=traces,
        executor=executor,
        workers=workers,
        max_attempts=max_attempts,
        deadlines=Deadlines(first_act_s=first_act_timeout, act_s=act_timeout),
        env_call_s=env_timeout,
        server_wait_s=server_wait,
        token=read_token(token_env),
        renderer=renderer,
        lazy=not every_step_rendering,
        command=typed_command(),
    )
    if yes:
        create_missing_env(config)
    if dry_run:
        print_preview_of(config, as_json=as_json)
    else:
        raise typer.Exit(run_and_print(config, as_json=as_json))


def _settings(ctx: typer.Context, seed: int) -> dict[str, Any]:
    """The settings that were given, by name; those not given are left to the policy's file and the defaults."""
    from vla_bench.spec.settings import EvalSettings

    names = [field.name for field in fields(EvalSettings)]
    given = {name: ctx.params[name] for name in names if ctx.params.get(name) is not None}
    return given | {"policy_seed": seed}
