"""`vla-bench merge`: the shards of a run, from several databases, in one."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)
