"""Keyset cursors: the sort key of the last line of a page, as a short opaque text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from vla_bench.spec.errors import UsageError

__all__ = ["decode", "decode_number", "encode", "etag_of"]


def encode(*key: Any) -> str:
    """The cursor of a line with this key."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(after: str, n: int) -> list[Any]:
    """The key of `n` plain values that `encode` made.

    Raises:
        UsageError: it is no such cursor.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"after={after[:80]!r} is no cursor: leave it out to begin at the first page") from error
    is_plain = isinstance(key, list) and all(isinstance(value, (str, int, float, type(None))) for value in key)
    if not is_plain or len(key) != n:
        raise UsageError(f"after={after[:80]!r} is no cursor of this list: leave it out to begin at the first page")
    return key


def decode_number(after: str) -> int:
    """The key of a list that is ordered by one whole number.

    Raises:
        UsageError: it is no such cursor.
    """
    (number,) = decode(after, 1)
    if isinstance(number, bool) or not isinstance(number, int) or not -(2**31) < number < 2**31:
        raise UsageError(f"after={after[:80]!r} is no cursor of this list: leave it out to begin at the first page")
    return number


def etag_of(*parts: Any) -> str:
    """A short text that changes with any of the parts."""
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=12).hexdigest()
