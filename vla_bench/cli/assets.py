"""`vla-bench assets`: scenes, textures and meshes that no package brings. Nothing is downloaded before it was asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import AsJson, examples
from vla_bench.spec.errors import SuiteNotInstalled
from vla_bench.spec.outcomes import ExitCode

if TYPE_CHECKING:
    from vla_bench.envs.runtime.assets.declared import AssetSet
    from vla_bench.envs.runtime.assets.installed import InstalledAssets

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Install, check, list and remove assets that no package brings."
)

Name = Annotated[str, typer.Argument(metavar="ASSETS", help="A set of assets, or a suite that needs it.")]


@app.command(
    epilog=examples("vla-bench assets install libero_plus", "vla-bench assets install libero_plus --from assets.zip")
)
def install(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Take this copy: an archive is unpacked, a folder is linked."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.")] = False,
) -> None:
    """Install assets: show what they are, ask, download, check and place them.

    An interrupted download goes on where it stopped.
    """
    from rich.markup import escape

    from vla_bench.cli.asset_facts import ask
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.downloads import transfer_display
    from vla_bench.cli.display.words import data_size
    from vla_bench.envs.runtime.assets.declared import find_assets
    from vla_bench.envs.runtime.assets.installing import install_copy, install_download

    assets = find_assets(name)
    if source is None and not yes:
        ask(assets)
    with transfer_display() as progress:
        if source is None:
            record = install_download(assets, progress=progress)
        else:
            record = install_copy(assets, source.expanduser(), progress=progress)
    answer().print(f"{assets.name} is ready: {record.n_files:,} files, {data_size(record.n_bytes)}")
    answer().print(f"[dim]{escape(assets.origin)}; {escape(assets.terms)}[/]", soft_wrap=True)
    if record.standin:
        answer().print(f"[lost]stand-in:[/] {escape(record.standin)}. Runs on it are marked and are no results.")


@app.command(epilog=examples("vla-bench assets check libero_plus"))
def check(name: Name) -> None:
    """Read installed assets again: whether they are whole, and still what was installed.

    Exit code 1 says that they are not.
    """
    from rich.markup import escape

    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.downloads import transfer_display
    from vla_bench.envs.runtime.assets.declared import find_assets
    from vla_bench.envs.runtime.assets.installing import check_installed

    assets = find_assets(name)
    record = _record(assets)
    with transfer_display() as progress:
        report = check_installed(assets, record, progress=progress)
    for fault in report.faults:
        answer().print(f"[bad]fault:[/] {escape(fault)}", soft_wrap=True)
    for note in report.notes:
        answer().print(f"[dim]note:[/] {escape(note)}", soft_wrap=True)
    if report.faults:
        raise typer.Exit(ExitCode.CHECK_FAILED)
    answer().print(f"{assets.name} is whole: {record.n_files:,} files, digest {record.digest[:12]}")


@app.command("list", epilog=examples("vla-bench assets list", "vla-bench assets list --json"))
def list_(as_json: AsJson = False) -> None:
    """List the assets that suites can need, and which of them are installed."""
    from rich.markup import escape

    from vla_bench.cli.asset_facts import describe
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.tables import plain_table
    from vla_bench.cli.display.words import data_size
    from vla_bench.cli.schemas import AssetsListModel
    from vla_bench.envs.registry import families
    from vla_bench.envs.runtime.assets.declared import assets_of

    models = [describe(each) for family in families() for each in assets_of(family)]
    if as_json:
        print_json(AssetsListModel(assets=models).model_dump())
        return
    table = plain_table("assets|", "here|", "download>", "what it is", "from")
    for model in models:
        here = "[lost]stand-in[/]" if model.standin else "[good]yes[/]" if model.is_installed else "[lost]no[/]"
        size = data_size(model.size_bytes)
        table.add_row(f"[name]{model.name}[/]", here, size, escape(model.title), escape(model.source or model.origin))
    answer().print(table)


@app.command(epilog=examples("vla-bench assets remove libero_plus"))
def remove(name: Name) -> None:
    """Remove installed assets. A folder that was linked stays where it is."""
    from vla_bench.cli.display.console import answer
    from vla_bench.envs.runtime.assets.declared import find_assets
    from vla_bench.envs.runtime.assets.installed import remove_assets

    assets = find_assets(name)
    _record(assets)
    remove_assets(assets.name)
    answer().print(f"the assets {assets.name} are removed")


def _record(assets: AssetSet) -> InstalledAssets:
    from vla_bench.envs.runtime.assets.installed import installed_assets

    record = installed_assets(assets.name)
    if record is None:
        raise SuiteNotInstalled(
            f"the assets {assets.name!r} are not installed. Type: vla-bench assets install {assets.name}"
        )
    return record
