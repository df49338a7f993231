"""Files that a command writes for people: plots, pages, tables, baselines. Written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vla_bench.spec.errors import UsageError

__all__ = ["write_output"]


def write_output(path: Path, data: str | bytes) -> None:
    """Write a file in place of an earlier one; a reader sees the old one or the new one.

    Raises:
        UsageError: it cannot be written there.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}. Name another file.") from error
