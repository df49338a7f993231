"""Where a board's run has its page, and what it is called where it was fetched: page and commands agree on both."""

from __future__ import annotations

import re

from vla_bench.spec.errors import UsageError

__all__ = ["local_name", "split_page"]

_PAGE = re.compile(r"(https?://[^?#\s]+?)/runs/([0-9]{1,9})/?(?:[?#]\S*)?")


def local_name(run: str) -> str:
    """The name of a board's run as no shell has to quote it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", run).strip("-.")[:180] or "fetched"


def split_page(page: str) -> tuple[str, str]:
    """The address of a run's page as the address of its board, and the run's id there.

    Raises:
        UsageError: it is no such address.
    """
    match = _PAGE.fullmatch(page)
    if match is None:
        raise UsageError(f"fetch takes the address of a run's page, https://HOST/runs/12, not {page[:200]!r}")
    board, run_id = match.groups()
    return board, run_id
