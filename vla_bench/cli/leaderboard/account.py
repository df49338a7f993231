"""`vla-bench leaderboard account`: who may submit. Works on the board's database, beside the running service."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, list and close the accounts of a board.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account, shown beside its submissions.")]


@app.command(
    epilog=examples(
        "vla-bench leaderboard account create lamp-lab",
        "vla-bench leaderboard account create keeper --role maintainer",
    )
)
def create(
    name: Name,
    role: Annotated[str, typer.Option(help="submitter, or maintainer.")] = "submitter",
    db: Db = "",
) -> None:
    """Make an account. Its tokens are made with `vla-bench leaderboard token create`."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.accounts.people import Role, create_account
    from vla_bench.spec.names import match_name

    wanted = match_name(role, list(Role))
    if wanted is None:
        raise UsageError(f"no role {role!r}: choose {', '.join(Role)}")
    with board_store(db) as store, store.database.write() as connection:
        create_account(connection, name, Role(wanted), actor=ACTOR)
    answer().print(f"account {name} is made, a {wanted}", soft_wrap=True)
    answer().print(f"its first token: vla-bench leaderboard token create {name}", soft_wrap=True)


@app.command("list", epilog=examples("vla-bench leaderboard account list", "vla-bench leaderboard account list --json"))
def list_(db: Db = "", as_json: AsJson = False) -> None:
    """List the accounts with their roles and numbers of tokens."""
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.display.people import print_accounts
    from vla_bench.cli.leaderboard.database import board_store
    from vla_bench.server.accounts.people import list_accounts

    with board_store(db) as store, store.database.read() as connection:
        found = list_accounts(connection)
    if as_json:
        print_json({"accounts": found})
    else:
        print_accounts(found)


@app.command(epilog=examples("vla-bench leaderboard account disable lamp-lab"))
def disable(name: Name, db: Db = "") -> None:
    """Close an account: its tokens stop working at once. What it submitted stays."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.accounts.people import disable_account

    with board_store(db) as store, store.database.write() as connection:
        disable_account(connection, name, actor=ACTOR)
    answer().print(f"account {name} is disabled; its submissions stay", soft_wrap=True)
