"""`vla-bench leaderboard challenge`: maintainers confirm a result on a plan drawn afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.leaderboard.moderating import Reason, check_reason
from vla_bench.cli.options import AsJson, Db, PolicyName, PolicyOptions, Traces, examples, parse_options

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Confirm a submission on a plan drawn after it was sealed."
)

Challenge = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the challenge.")]


@app.command(
    epilog=examples(
        "vla-bench leaderboard challenge issue 4k2m9x0qpa7c --image sha256:0f1e…",
        "vla-bench leaderboard challenge issue 4k2m9x0qpa7c --trials 5",
    )
)
def issue(
    submission: Annotated[str, typer.Argument(metavar="ID", help="Id of the submission.")],
    image: Annotated[str, typer.Option(help="Digest of the image that serves the policy, for the log.")] = "",
    trials: Annotated[int | None, typer.Option(min=1, help="Trials per task; the protocol's number.")] = None,
    db: Db = "",
) -> None:
    """Draw a plan with new seeds for a replayed submission, and print the command that runs it."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.replays.challenges import issue_challenge

    with board_store(db) as store, store.database.write() as connection:
        row = issue_challenge(connection, submission, actor=ACTOR, image_digest=image[:200], n_trials=trials)
    answer().print(f"challenge {row['id']} of submission {submission}: plan {row['plan_hash'][:16]}", soft_wrap=True)
    answer().print(f"run it: vla-bench leaderboard challenge run {row['id']} --policy POLICY", soft_wrap=True)


@app.command(epilog=examples("vla-bench leaderboard challenge run 1 --policy docker://example/lamp@sha256:0f1e…"))
def run(
    challenge: Challenge,
    policy: PolicyName,
    option: PolicyOptions = None,
    workers: Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Simulators at a time.")] = None,
    db: Db = "",
    traces: Traces = "",
) -> None:
    """Run a challenge's plan with the submitted settings into the board's database, and close the challenge.

    The policy must be the submitted one, by digest. The same command goes on where it stopped; exit code 3 says that
    episodes are missing, 1 that the result is disputed.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.cli.options import typed_command
    from vla_bench.cli.running import run_and_print
    from vla_bench.harness.config import RunConfig
    from vla_bench.server.replays.challenges import close_challenge, plan_of_challenge
    from vla_bench.server.submissions.states import State

    with board_store(db) as store:
        with store.database.read() as connection:
            plan, settings, name = plan_of_challenge(connection, challenge)
        # The run is to lie where the board reads it, whatever named the database.
        target = str(store.location.path or store.location.url.render_as_string(hide_password=False))
        folder = traces or store.traces_url
    config = RunConfig(
        policy=policy, suite=plan.suite, policy_options=parse_options(option), protocol=plan.protocol, plan=plan,
        settings=settings, name=name, db=target, traces=folder, workers=workers, command=typed_command(),
    )  # fmt: skip
    if code := run_and_print(config, as_json=False):
        raise typer.Exit(code)
    with board_store(db) as store, store.database.write() as connection:
        state = close_challenge(connection, challenge, name, actor=ACTOR)
    answer().print(f"challenge {challenge} is closed: the submission is {state}", soft_wrap=True)
    if state is State.DISPUTED:
        raise typer.Exit(1)


@app.command(epilog=examples('vla-bench leaderboard challenge cancel 1 --reason "the image cannot be had any longer"'))
def cancel(challenge: Challenge, reason: Reason = "", db: Db = "") -> None:
    """Close a challenge that will not be run. The reason, and what was run of it, stand in the public log."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.replays.challenges import cancel_challenge

    check_reason(reason)
    with board_store(db) as store, store.database.write() as connection:
        state = cancel_challenge(connection, challenge, reason, actor=ACTOR)
    answer().print(f"challenge {challenge} is cancelled: the submission is {state}", soft_wrap=True)


@app.command(
    "list", epilog=examples("vla-bench leaderboard challenge list", "vla-bench leaderboard challenge list --json")
)
def list_(db: Db = "", as_json: AsJson = False) -> None:
    """List the challenges. The seed of an open one stays secret."""
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.display.people import print_challenges
    from vla_bench.cli.leaderboard.database import board_store
    from vla_bench.server.replays.challenges import list_challenges

    with board_store(db) as store, store.database.read() as connection:
        found = list_challenges(connection)
    if as_json:
        print_json({"challenges": found})
    else:
        print_challenges(found)
