"""`vla-bench leaderboard token`: API tokens. Works on the board's database, beside the running service."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, list and revoke API tokens of a board.")


@app.command(
    epilog=examples(
        "vla-bench leaderboard token create lamp-lab",
        "vla-bench leaderboard token create keeper --scope replay --days 30 --label worker-1",
    )
)
def create(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose token.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="submit, replay or admin; repeatable. submit where left out.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="Days until it expires; 0 for never.")] = 90,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    db: Db = "",
) -> None:
    """Make a token and print it, this once: only a digest of it is kept."""
    from datetime import timedelta

    from vla_bench.cli.display.console import answer, story
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.accounts.people import Scope, create_token
    from vla_bench.spec.names import match_name

    wanted = []
    for name in scope or [Scope.SUBMIT]:
        known = match_name(name, list(Scope))
        if known is None:
            raise UsageError(f"no scope {name!r}: choose {', '.join(Scope)}")
        wanted.append(Scope(known))
    with board_store(db) as store, store.database.write() as connection:
        valid_for = timedelta(days=days) if days else None
        token = create_token(connection, account, wanted, label=label, valid_for=valid_for, actor=ACTOR)
    answer().out(str(token), highlight=False)
    until = f"for {days} days" if days else "until it is revoked"
    story().print(f"scopes {', '.join(wanted)}, valid {until}; it is not shown again. Revoke it with: "
                  f"vla-bench leaderboard token revoke {token.id}", soft_wrap=True)  # fmt: skip


@app.command("list", epilog=examples("vla-bench leaderboard token list", "vla-bench leaderboard token list --json"))
def list_(db: Db = "", as_json: AsJson = False) -> None:
    """List the tokens: whose, what for, until when, last used. Their secrets are kept nowhere."""
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.display.people import print_tokens
    from vla_bench.cli.leaderboard.database import board_store
    from vla_bench.server.accounts.people import list_tokens

    with board_store(db) as store, store.database.read() as connection:
        found = list_tokens(connection)
    if as_json:
        print_json({"tokens": found})
    else:
        print_tokens(found)


@app.command(epilog=examples("vla-bench leaderboard token revoke 3kF9aQ2x"))
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The 8 characters after `vlab_`.")], db: Db = ""
) -> None:
    """Make a token worthless at once, and end the sessions that were opened with it."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.accounts.people import revoke_token

    with board_store(db) as store, store.database.write() as connection:
        revoke_token(connection, token.removeprefix("vlab_")[:8], actor=ACTOR)
    answer().print(f"token {token.removeprefix('vlab_')[:8]} is revoked")
