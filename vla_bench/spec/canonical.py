"""Canonical JSON and the digests made of it.

Two programs that agree on a plan must agree on its bytes: UTF-8, keys sorted by code point, no white space,
shortest round-trip floats, no NaN and no infinity. `TEST_VECTOR` fixes the form for other implementations.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["TEST_VECTOR", "blake2b_hex", "canonical_json", "content_id", "sha256_hex", "to_plain"]

TEST_VECTOR: tuple[Any, str, str] = (
    {"z": [1, 1.0, -0.0, 0.1, 1e16, 1e-7], "a": {"é": '\u2028"\\\n', "B": None, "b": True}, "n": 2**53},
    '{"a":{"B":null,"b":true,"é":"\u2028\\"\\\\\\n"},"n":9007199254740992,"z":[1,1.0,0.0,0.1,1e+16,1e-07]}',
    "fc297b8ebb5e1415c0309a5b5f8d58bab02f325294aa5823526a349b7244c57c",
)
"""An object, its canonical JSON and the SHA-256 of its bytes: `-0.0` is written `0.0`, integers stay integers."""

_AS_THEY_ARE: frozenset[type] = frozenset({str, int, bool, type(None)})


def to_plain(value: Any) -> Any:
    """Turn dataclasses, enums, NumPy scalars and arrays, tuples and mappings into plain JSON values.

    Raises:
        ValueError: a float is NaN or infinite, or a mapping's key is not a string.
        TypeError: the value has no JSON form (bytes, sets, arbitrary objects).
    """
    kind: Any = type(value)
    # Plain values by their exact type first: plans and suites are millions of them.
    if kind in _AS_THEY_ARE:
        return value
    if kind is dict:
        return _plain_map(value)
    if kind is list or kind is tuple:
        return [item if type(item) in _AS_THEY_ARE else to_plain(item) for item in value]
    if kind is float:
        return _plain_float(value)
    if (names := _fields_of(kind)) is not None:
        return _plain_map({name: getattr(value, name) for name in names})
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return _plain_float(float(value))
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())  # a list, or one number where there are no dimensions
    if isinstance(value, Mapping):
        return _plain_map(value)
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    raise TypeError(f"canonical JSON has no form for {type(value).__name__}")


def _plain_float(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"canonical JSON has no form for {number!r}")
    return number + 0.0  # turns -0.0 into 0.0


def _plain_map(value: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {}
    for key, item in value.items():
        if type(key) is not str:
            if not isinstance(key, str):
                raise ValueError(f"canonical JSON wants string keys, got {sorted(map(repr, value))}")
            key = to_plain(key)
        plain[key] = item if type(item) in _AS_THEY_ARE else to_plain(item)
    return plain


@lru_cache(maxsize=256)
def _fields_of(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for another type, and for enums and numbers, which have forms of their own."""
    if not dataclasses.is_dataclass(kind) or issubclass(kind, (enum.Enum, str, int, float)):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def canonical_json(value: Any) -> str:
    """Return the one canonical JSON text of `value` (see the module's opening for the rules)."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def blake2b_hex(data: bytes) -> str:
    """BLAKE2b-128 of raw bytes, 32 hexadecimal digits: the digest of simulator states and of chunks."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def content_id(value: Any) -> str:
    """A short id made of content: the first 16 hexadecimal digits of `sha256_hex`."""
    return sha256_hex(value)[:16]
