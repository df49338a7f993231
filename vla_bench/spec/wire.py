"""Arrays and messages as plain values that msgpack and JSON can carry. No encoder is imported here.

An array is a map `{"__ndarray__": dtype, "shape": […], "data": bytes}`; in JSON `data` is base64 text, and a plain
(nested) list of numbers is accepted wherever an array is. Only boolean, integer and float dtypes travel: never objects.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_arrays", "decode_value", "encode_array", "encode_array_as_text"]

_DTYPE = re.compile(r"[<>|=]?[biuf][1248]")
"""Boolean, integer and float dtypes of at most 8 bytes, which every machine has."""


def encode_array(value: Any) -> Any:
    """Encode what msgpack cannot: the `default=` hook. Data are the C-order bytes, little endian."""
    if isinstance(value, np.ndarray):
        name = value.dtype.str
        array = np.ascontiguousarray(value, dtype=_dtype_to_send(name))
        # A memoryview saves one copy of every picture.
        data = array.data.cast("B") if array.size else b""
        return {"__ndarray__": array.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not travel")


@lru_cache(maxsize=64)
def _dtype_to_send(name: str) -> np.dtype[Any]:
    """The little-endian dtype under which arrays of this one travel; found once, since every message has arrays."""
    if not _DTYPE.fullmatch(name):
        raise TypeError(f"arrays of dtype {np.dtype(name)} do not travel")
    return np.dtype(name).newbyteorder("<")


@lru_cache(maxsize=64)
def _dtype_received(name: str) -> np.dtype[Any]:
    """The dtype that a message names."""
    if not _DTYPE.fullmatch(name):
        raise ValueError(f"not an array: dtype {name!r}")
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ValueError(f"not an array: dtype {name!r}") from error


def encode_array_as_text(value: Any) -> Any:
    """Encode what JSON cannot: as `encode_array`, with `data` in base64."""
    plain = encode_array(value)
    if isinstance(plain, dict):
        plain["data"] = base64.b64encode(plain["data"]).decode("ascii")
    return plain


def decode_value(value: Mapping[str, Any]) -> Any:
    """Decode one map: the `object_hook=`. A map that is no array is returned as it is.

    Returns:
        A read-only view of the message's bytes for an array.

    Raises:
        ValueError: the map claims to be an array and is not one.
    """
    if "__ndarray__" not in value:
        return value
    name, shape, data = value["__ndarray__"], value.get("shape"), value.get("data")
    if not isinstance(name, str):
        raise ValueError(f"not an array: dtype {name!r}")
    dtype = _dtype_received(name)
    if not (isinstance(shape, list | tuple) and all(type(n) is int and n >= 0 for n in shape)):
        raise ValueError(f"not an array: shape {shape!r}")
    if isinstance(data, str):
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise ValueError(f"not an array: {error}") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError(f"not an array: data are {type(data).__name__}")
    if len(data) != dtype.itemsize * math.prod(shape):
        raise ValueError(f"not an array: {len(data)} bytes for {dtype} {shape}")
    array: NDArray[Any] = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array


def decode_arrays(value: Any) -> Any:
    """Decode every array inside a tree of maps and lists (for decoders without a hook)."""
    if isinstance(value, Mapping):
        return decode_value({key: decode_arrays(item) for key, item in value.items()})
    if isinstance(value, list):
        return [decode_arrays(item) for item in value]
    return value
