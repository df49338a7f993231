"""`vla-bench doctor`: what runs here, what is missing, and the exact line that installs it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.outcomes import ExitCode

if TYPE_CHECKING:
    from vla_bench.cli.doctor.checks import Check

__all__ = ["app"]

app = typer.Typer(add_completion=False)
MARKS = {"ok": "[good]ok[/]", "note": "[lost]--[/]", "blocker": "[bad]NO[/]"}


@app.command(epilog=examples("vla-bench doctor", "vla-bench doctor --self-test --json"))
def doctor(
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Also run the smallest suite end to end; its expert must score 100 %.")
    ] = False,
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Say what runs on this machine, what is missing, and the line that installs it.

    Exit code 1 where something is missing that every run needs; what only some suites need is a note.
    """
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.doctor import checks, rooms
    from vla_bench.cli.schemas import CheckModel, DoctorModel

    found = [
        *checks.check_python(),
        *checks.check_packages(),
        *checks.check_devices(),
        *rooms.check_database(db),
        *rooms.check_renderers(),
        *rooms.check_suites(),
        *checks.check_extras(),
    ]
    if self_test:
        from vla_bench.cli.doctor.selftest import self_test as run_self_test

        found.append(run_self_test())
    is_ready = all(check.status != "blocker" for check in found)
    if as_json:
        models = [
            CheckModel(group=each.group, name=each.name, status=each.status, detail=each.detail, fix=each.fix)
            for each in found
        ]
        print_json(DoctorModel(is_ready=is_ready, checks=models).model_dump())
    else:
        _print(found, is_ready)
    if not is_ready:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _print(found: list[Check], is_ready: bool) -> None:
    from rich.markup import escape

    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import plain_table

    console = answer()
    for group, members in groupby(found, key=lambda check: check.group):
        console.print(f"[dim]{group}[/]")
        table = plain_table("|", "|", "")
        table.show_header = False
        for check in members:
            fix = f"\n[dim]→[/] [bold]{escape(check.fix)}[/]" if check.fix else ""
            table.add_row(MARKS[check.status], f"[name]{escape(check.name)}[/]", escape(check.detail) + fix)
        console.print(table)
    console.print("\n[good]everything that a run needs is here[/]" if is_ready else "\n[bad]not ready: see NO above[/]")
