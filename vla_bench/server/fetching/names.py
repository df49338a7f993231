"""What a board's run is called where it was fetched: the page that names the command and the command agree on it."""

from __future__ import annotations

import re

__all__ = ["local_name"]


def local_name(run: str) -> str:
    """The name of a board's run as no shell has to quote it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", run).strip("-.")[:180] or "fetched"
