"""Accounts, tokens and challenges as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from vla_bench.cli.display.console import answer, story

__all__ = ["print_accounts", "print_challenges", "print_tokens"]


def print_accounts(accounts: Sequence[Mapping[str, Any]]) -> None:
    """Print accounts."""
    if not accounts:
        story().print("no accounts. Type: vla-bench leaderboard account create NAME")
        return
    table = _table("name", "role", "tokens", "since", "")
    for account in accounts:
        closed = f"[bad]disabled {_day(account['disabled_at'])}[/]" if account["disabled_at"] else ""
        row = (account["name"], account["role"], str(account["n_tokens"]), _day(account["created_at"]), closed)
        table.add_row(*row)
    answer().print(table)


def print_tokens(tokens: Sequence[Mapping[str, Any]]) -> None:
    """Print tokens, without secrets: there are none."""
    if not tokens:
        story().print("no tokens. Type: vla-bench leaderboard token create ACCOUNT")
        return
    table = _table("id", "account", "scopes", "label", "last used", "until")
    for token in tokens:
        until = _day(token["expires_at"]) or "no end"
        if token["revoked_at"]:
            until = f"[bad]revoked {_day(token['revoked_at'])}[/]"
        used = _day(token["last_used_at"]) or "never"
        scopes = ", ".join(token["scopes"])
        table.add_row(token["id"], token["account"], scopes, escape(token["label"]), used, until)
    answer().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _day(stamp: str | None) -> str:
    return (stamp or "")[:10]


def print_challenges(challenges: Sequence[Mapping[str, Any]]) -> None:
    """Print challenges."""
    if not challenges:
        story().print("no challenges. Type: vla-bench leaderboard challenge issue SUBMISSION")
        return
    table = _table("number", "submission", "run", "plan", "issued", "closed")
    for item in challenges:
        closed = _day(item["closed_at"]) or "[lost]open[/]"
        row = (str(item["id"]), item["submission_id"], escape(item["run_name"]), item["plan_hash"][:16])
        table.add_row(*row, _day(item["issued_at"]), closed)
    answer().print(table)
