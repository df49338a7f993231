"""The command line: `vla-bench COMMAND …`. Commands are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as build_command

from vla_bench.cli import exit as exit_codes
from vla_bench.spec.outcomes import ExitCode

__all__ = ["COMMANDS", "CommandEntry", "build_cli", "main"]

FIRST, SET_UP, UNDERSTAND, PUBLISH = "First", "Set up", "Understand", "Publish"
"""The panels of `--help`: a newcomer reads the first one."""


EXAMPLE = "vla-bench run --policy expert --suite toy_reach"


class CommandEntry(NamedTuple):
    """One line of `--help`; `summary` is the first line of the command's own."""

    name: str
    panel: str
    summary: str

    @property
    def module(self) -> str:
        """`vla_bench.cli.<name>`, in the plural where Python has the name for itself."""
        return f"vla_bench.cli.{self.name}{'s' * keyword.iskeyword(self.name)}"


COMMANDS: tuple[CommandEntry, ...] = (
    CommandEntry("run", FIRST, "Run a policy through a suite and print how often it succeeds."),
    CommandEntry("serve", FIRST, "Serve a policy over HTTP or gRPC until stopped."),
    CommandEntry("show", FIRST, "Show the result of a run: rates with intervals, task by task."),
    CommandEntry(
        "compare",
        FIRST,
        "Compare runs: differences with intervals and Holm-adjusted p-values, and which episodes flipped.",
    ),
    CommandEntry(
        "open",
        FIRST,
        "Open a board of one's own results in the browser: every finished run, beside the published figures.",
    ),
    CommandEntry("doctor", SET_UP, "Say what runs on this machine, what is missing, and the line that installs it."),
    CommandEntry("env", SET_UP, "Create, list and remove the suites' own Python environments."),
    CommandEntry("assets", SET_UP, "Install, check, list and remove assets that no package brings."),
    CommandEntry("demo", SET_UP, "Tell in three minutes what vla-bench does, on real episodes."),
    CommandEntry("suites", UNDERSTAND, "List the suites with their protocols and tasks."),
    CommandEntry("policies", UNDERSTAND, "List the registered policies and their options, or look at one policy."),
    CommandEntry("plan", UNDERSTAND, "Print the episodes that a run would make, and their hash."),
    CommandEntry(
        "pictures",
        UNDERSTAND,
        "Draw the first picture of each task, as a policy would see it, and put them on one sheet.",
    ),
    CommandEntry("runs", UNDERSTAND, "List the runs in the database, the newest first."),
    CommandEntry(
        "gate",
        UNDERSTAND,
        "Answer whether a policy may land: is it shown to be no worse than the margin allows?",
    ),
    CommandEntry("diff", UNDERSTAND, "Say what differs between two runs, and what that does to the score."),
    CommandEntry(
        "verify",
        UNDERSTAND,
        "Replay a run's recorded actions without its policy, and compare states and outcomes with the stored ones.",
    ),
    CommandEntry(
        "group",
        UNDERSTAND,
        "Report runs of several trainings, checkpoints or evaluation seeds as one, each spread by itself.",
    ),
    CommandEntry(
        "video",
        UNDERSTAND,
        "Film episodes of a run: pictures are made by replay, at any size, with no GPU, and written as H.264.",
    ),
    CommandEntry("table", PUBLISH, "Print runs and groups as a table for a paper, with n, variant and seeds."),
    CommandEntry(
        "export",
        PUBLISH,
        "Write the episodes of runs as CSV, JSON Lines or Parquet, or replay a run into a LeRobot-style dataset.",
    ),
    CommandEntry("import", PUBLISH, "Import result files of vla-eval or lerobot-eval as self-reported runs."),
    CommandEntry(
        "report",
        PUBLISH,
        "Write a report: tables, intervals, plots, failures in pictures, protocol, provenance, efficiency.",
    ),
    CommandEntry(
        "submit",
        PUBLISH,
        "Send a run to a leaderboard: plan, episodes, traces, provenance, and what you declare of the policy.",
    ),
    CommandEntry("merge", PUBLISH, "Join the runs of other databases (shards) into one."),
    CommandEntry(
        "leaderboard",
        PUBLISH,
        "Serve the leaderboard: boards, runs, comparisons and submissions, as pages and as JSON.",
    ),
)


class _LazyCommand(TyperCommand):
    """A name and a summary that become the real command when it is called, completed or asked for help."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=entry.summary, short_help=entry.summary, rich_help_panel=entry.panel)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        command = _load(self.name or "")
        if not extra.get("resilient_parsing"):
            from vla_bench.cli.display.logs import configure_logs

            configure_logs()
        return command.make_context(info_name, args, parent=parent, **extra)


class _Commands(TyperGroup):
    """The group of all commands; the one place where what they raise becomes a line and an exit code."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from vla_bench.cli.display.help import print_first_page

        print_first_page(COMMANDS, self.get_params(ctx), question=self.help or "", example=EXAMPLE)

    def invoke(self, ctx: Any) -> Any:
        with exit_codes.as_exit_code(lambda: bool(ctx.obj.get("debug"))):
            return super().invoke(ctx)


def _load(name: str) -> Any:
    from importlib import import_module

    module = next(entry.module for entry in COMMANDS if entry.name == name)
    command = build_command(import_module(module).app)
    _give_debug_option(command)
    return command


def _give_debug_option(command: Any) -> None:
    """To every command that does something: the leaves, and groups that are commands by themselves."""
    leaves = getattr(command, "commands", {}).values()
    for leaf in leaves:
        _give_debug_option(leaf)
    if not leaves or command.invoke_without_command:
        command.params.append(_debug_option())


def _debug_option() -> Any:
    """`--debug`, given to every command here so that none forgets it."""

    def remember(ctx: Any, param: Any, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            from vla_bench.cli.display.logs import configure_logs

            ctx.find_root().obj["debug"] = True
            configure_logs(debug=True)

    def carrier(
        debug: Annotated[bool, typer.Option("--debug", help="Show log events, and the traceback of an error.")] = False,
    ) -> None: ...

    # Typer builds the option from a signature: the constructor of its option class differs between versions.
    app = typer.Typer(add_completion=False)
    app.command()(carrier)
    option = next(param for param in build_command(app).params if param.name == "debug")
    option.callback, option.expose_value = remember, False
    return option


def _print_version(value: bool) -> None:
    if value:
        from vla_bench import __version__

        print(f"vla-bench {__version__}")
        raise typer.Exit


def build_cli() -> Any:
    """The whole command line as one command object, with every command still unloaded."""
    context = {"help_option_names": ["-h", "--help"], "obj": {}}
    app = typer.Typer(name="vla-bench", cls=_Commands, invoke_without_command=True, context_settings=context)

    @app.callback()
    def vla_bench(
        ctx: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        """How often does this robot policy succeed, on these tasks, and is it really better than that one?"""
        if ctx.invoked_subcommand is None:
            ctx.get_help()
            raise typer.Exit(ExitCode.USAGE)

    group: Any = build_command(app)
    for entry in COMMANDS:
        group.add_command(_LazyCommand(entry))
    return group


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (`vla_bench.spec.outcomes.ExitCode`)."""
    exit_codes.stop_on_sigterm()
    sys.exit(exit_codes.run_to_code(build_cli(), args))
