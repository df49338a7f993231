"""`vla-bench group`: runs of several trainings, checkpoints or evaluation seeds as one unit."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

KINDS = ("training_seeds", "top_checkpoints", "last_checkpoints", "evaluation_seeds")


class _NameOrCommand(TyperGroup):
    """`group NAME RUN…` is short for `group define NAME RUN…`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        first = args[0] if args else ""
        is_name = bool(first) and first not in self.commands and not first.startswith("-")
        return super().resolve_command(ctx, ["define", *args] if is_name else args)


app = typer.Typer(
    cls=_NameOrCommand,
    add_completion=False,
    no_args_is_help=True,
    help="Report runs of several trainings, checkpoints or evaluation seeds as one, each spread by itself.\n\n"
    "`vla-bench group NAME RUN…` is short for `group define`.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the group.")]


@app.command(
    epilog=examples(
        "vla-bench group lamp-seeds lamp-s0 lamp-s1 lamp-s2",
        "vla-bench group lamp-top3 lamp-90k=90k lamp-95k=95k lamp-100k=100k --kind top_checkpoints --json",
    )
)
def define(
    name: Name,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…", help="Runs; RUN=LABEL names the training seed or checkpoint where its digest does not."
        ),
    ],
    kind: Annotated[str, typer.Option(help=f"What the runs differ in: {', '.join(KINDS)}.")] = KINDS[0],
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Define a group, and show what it says.

    The runs must be of one protocol: the same suite, initial states, roll-outs a task and evaluation settings.
    """
    from vla_bench.cli.reading import exists, tell_notices
    from vla_bench.results.groups import GroupKind, Member, define_group
    from vla_bench.results.store import Store
    from vla_bench.spec.names import match_name

    wanted = match_name(kind, KINDS)
    if wanted is None:
        raise UsageError(f"no kind of group {kind!r}: choose {', '.join(KINDS)}")
    if name in _commands():
        raise UsageError(f"{name!r} is a command of `vla-bench group`: choose another name")
    if not exists(db):
        raise UsageError("the database has no runs. Type: vla-bench run --policy expert --suite toy_reach")
    with Store.open(db, sole_writer=True) as store:
        tell_notices(store.notices)
        _tell(define_group(store, name, [Member.parse(run) for run in runs], GroupKind(wanted)), as_json)


@app.command(epilog=examples("vla-bench group show lamp-seeds", "vla-bench group show lamp-seeds --json"))
def show(name: Name, db: Db = "", as_json: AsJson = False) -> None:
    """Show a group: its score with both intervals, the spread between trainings, the one between evaluations."""
    from vla_bench.cli.reading import open_results
    from vla_bench.results.groups import group_summary

    with open_results(db) as store:
        _tell(group_summary(store, name), as_json)


@app.command("list", epilog=examples("vla-bench group list", "vla-bench group list --json"))
def list_(db: Db = "", as_json: AsJson = False) -> None:
    """List the groups."""
    from vla_bench.cli.display.console import answer, print_json, story
    from vla_bench.cli.display.groups import print_groups
    from vla_bench.cli.reading import exists, open_results
    from vla_bench.results.groups import groups
    from vla_bench.spec.canonical import to_plain

    found = []
    if exists(db):
        with open_results(db) as store:
            found = groups(store)
    if as_json:
        print_json({"groups": to_plain(found)})
    elif found:
        print_groups(found, answer())
    else:
        story().print("no groups. Type: vla-bench group NAME RUN RUN …")


@app.command(epilog=examples("vla-bench group remove lamp-seeds"))
def remove(name: Name, db: Db = "") -> None:
    """Forget a group. Its runs stay."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.reading import open_results
    from vla_bench.results.groups import remove_group
    from vla_bench.results.store import Store

    open_results(db).close()
    with Store.open(db, sole_writer=True) as store:
        remove_group(store, name)
    answer().print(f"group {name} is removed; its runs stay")


def _tell(group: Any, as_json: bool) -> None:
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.groups import print_group

    if as_json:
        print_json(group.to_dict())
    else:
        print_group(group, answer())


def _commands() -> list[str]:
    """The names that stand for commands and cannot be groups."""
    return [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
