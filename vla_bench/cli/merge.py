"""`vla-bench merge`: the shards of a run, from several databases, in one."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(add_completion=False)
