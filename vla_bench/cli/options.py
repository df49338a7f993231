"""Options that several commands share, each an annotated type, and how their values are read."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from vla_bench.spec.errors import UsageError

__all__ = [
    "AsJson", "BoardServer", "BoardToken", "Db", "Dimensions", "Levels", "PolicyName", "PolicyOptions",
    "PolicySeed", "Protocol", "Repeats", "Sample", "SampleSeed", "ShardPart", "SuiteName", "Tasks", "Traces",
    "Trials", "board_client", "chosen_tags", "examples", "parse_options", "read_token", "typed_command",
]  # fmt: skip

EPISODES, POLICY, RESULTS = "Which episodes", "Which policy", "Where results go"


def _complete_suite(incomplete: str) -> list[str]:
    from vla_bench.envs.registry import suite_names

    return [name for name in suite_names() if name.startswith(incomplete)]


def _complete_policy(incomplete: str) -> list[str]:
    from vla_bench.spec.plugins import POLICIES, plugin_names

    return [name for name in plugin_names(POLICIES) if name.startswith(incomplete)]


SuiteName = Annotated[
    str,
    typer.Option(
        "--suite",
        "-s",
        help="Suite; see `vla-bench suites`.",
        rich_help_panel=EPISODES,
        autocompletion=_complete_suite,
    ),
]
Protocol = Annotated[
    str, typer.Option(help="Protocol of the suite; its default one where empty.", rich_help_panel=EPISODES)
]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", "-t", help="Keep this task; repeatable.", rich_help_panel=EPISODES)
]
Dimensions = Annotated[
    list[str] | None,
    typer.Option("--dimension", help="Keep tasks of this dimension (`camera`); repeatable.", rich_help_panel=EPISODES),
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", help="Keep tasks of this level, or `none`; repeatable.", rich_help_panel=EPISODES),
]
Sample = Annotated[
    int | None,
    typer.Option(metavar="N", help="Draw N tasks, each dimension and level with its share.", rich_help_panel=EPISODES),
]
SampleSeed = Annotated[int, typer.Option(help="Seed of the sample of tasks.", rich_help_panel=EPISODES)]
Trials = Annotated[
    int | None, typer.Option(help="Trials per task; the protocol's number where not given.", rich_help_panel=EPISODES)
]
Repeats = Annotated[
    int, typer.Option(help="Rollouts of each initial state, each under its own policy seed.", rich_help_panel=EPISODES)
]
PolicySeed = Annotated[
    int, typer.Option("--seed", help="Base of the policy seeds; states do not depend on it.", rich_help_panel=EPISODES)
]
ShardPart = Annotated[
    str, typer.Option("--shard", metavar="I/N", help="Run part I of N of the plan, e.g. 1/4.", rich_help_panel=EPISODES)
]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        "-p",
        metavar="POLICY",
        autocompletion=_complete_policy,
        help="A registered name (which gets a server), a server's URL, docker://IMAGE, a YAML file, or module:Class.",
        rich_help_panel=POLICY,
    ),
]
PolicyOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="KEY=VALUE",
        help="Option of a policy, a YAML value; repeatable.",
        rich_help_panel=POLICY,
    ),
]
Db = Annotated[
    str,
    typer.Option("--db", metavar="URL", help="Database; your own SQLite file where empty.", rich_help_panel=RESULTS),
]
Traces = Annotated[
    str, typer.Option("--traces", metavar="URL", help="Folder or object store of the traces.", rich_help_panel=RESULTS)
]
BoardServer = Annotated[
    str, typer.Option("--server", metavar="URL", help="Address of the leaderboard.", show_default=False)
]
BoardToken = Annotated[
    str, typer.Option("--token-env", metavar="VARIABLE", help="Environment variable that holds your API token.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (schema in the docs) instead of tables.")]


def examples(*lines: str) -> str:
    """The closing paragraph of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"[bold]{line}[/bold]" for line in lines)


def chosen_tags(dimensions: Sequence[str] | None, levels: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """`--dimension` and `--level` as tags of tasks."""
    return {"dimension": tuple(dimensions or ()), "level": tuple(levels or ())}


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Read `key=value` pairs, the values as YAML scalars, lists or maps: `noise=0.1` is a number, `noise='0.1'` text.

    Raises:
        UsageError: a pair has no `=`, or its value is no YAML.
    """
    import yaml

    options = {}
    for pair in pairs or ():
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"an option is written key=value, for example -o noise=0.1, not {pair!r}")
        try:
            options[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"the value of option {key.strip()!r} is no YAML: {text!r}") from error
    return options


def board_client(server: str, token_env: str) -> Any:
    """A client of the leaderboard at this address, with the token in an environment variable.

    Raises:
        UsageError: no address is given, or the variable is not set.
    """
    from vla_bench.server.client import BoardClient

    if not server:
        raise UsageError("give the leaderboard's address: --server https://HOST")
    return BoardClient(server, read_token(token_env) or "")


def read_token(variable: str) -> str | None:
    """The bearer token in an environment variable; None where no variable is named.

    Raises:
        UsageError: the variable is not set.
    """
    if not variable:
        return None
    if not (token := os.environ.get(variable)):
        raise UsageError(f"--token-env {variable}: the environment variable is not set")
    return token


def typed_command() -> str:
    """The command as typed, for the record and for the line that resumes it."""
    return shlex.join(["vla-bench", *sys.argv[1:]])
