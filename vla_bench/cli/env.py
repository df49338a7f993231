"""`vla-bench env`: the suites' own Python environments."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, examples

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Create, list and remove the suites' own Python environments."
)

Name = Annotated[str, typer.Argument(metavar="SUITE", help="A suite, or the family that it belongs to.")]


@app.command(epilog=examples("vla-bench env create metaworld"))
def create(suite: Name) -> None:
    """Create the environment of a suite: its pinned packages under an interpreter that it can use.

    An interrupted installation leaves nothing behind; an environment that is up to date is left as it is.
    """
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from vla_bench.cli.display.console import answer, story
    from vla_bench.envs.registry import family_of
    from vla_bench.envs.runtime.install import create_env

    family = family_of(suite)
    # Gigabytes may be fetched without a line being printed: a clock that runs says that something happens.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=story(), transient=True) as display:
        installing = display.add_task("beginning")

        def tell(line: str) -> None:
            story().print(f"[dim]{escape(line)}[/]", soft_wrap=True)
            display.update(installing, description=escape(line))

        path = create_env(family, progress=tell)
    answer().print(f"{family.name} is ready in {escape(str(path))}", soft_wrap=True)


@app.command("list", epilog=examples("vla-bench env list", "vla-bench env list --json"))
def list_(as_json: AsJson = False) -> None:
    """List the environments that were created."""
    from rich.markup import escape

    from vla_bench.cli.display.console import answer, print_json, story
    from vla_bench.cli.display.tables import plain_table
    from vla_bench.cli.schemas import EnvListModel, EnvModel
    from vla_bench.envs.runtime.install import list_envs

    models = [
        EnvModel(
            family=each.family, path=str(each.path), python=each.python, size_mib=round(each.size_bytes / 2**20, 1)
        )
        for each in list_envs()
    ]
    if as_json:
        print_json(EnvListModel(environments=models).model_dump())
    elif not models:
        story().print("no environment was created. Suites that are ready here run without: see `vla-bench suites`.")
    else:
        table = plain_table("suites|", "python|", "MiB>", "path")
        for model in models:
            table.add_row(f"[name]{model.family}[/]", model.python, f"{model.size_mib:.0f}", escape(model.path))
        answer().print(table)


@app.command(epilog=examples("vla-bench env remove metaworld"))
def remove(suite: Name) -> None:
    """Remove the environment of a suite. Results and plans stay."""
    from vla_bench.cli.display.console import answer
    from vla_bench.envs.registry import family_of
    from vla_bench.envs.runtime.install import remove_env

    family = family_of(suite)
    remove_env(family)
    answer().print(f"the environment of {family.name} is removed")
