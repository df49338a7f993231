"""Arrays travel bit for bit, in msgpack and in JSON, and what only claims to be one is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, boolean_dtypes, floating_dtypes, integer_dtypes
from numpy.typing import NDArray

from vla_bench.spec.wire import decode_arrays, decode_value, encode_array, encode_array_as_text

ARRAYS = st.one_of(boolean_dtypes(), integer_dtypes(), floating_dtypes(sizes=(16, 32, 64))).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


def through_msgpack(value: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(value, default=encode_array), object_hook=decode_value)


def through_json(value: Any) -> Any:
    return decode_arrays(json.loads(json.dumps(value, default=encode_array_as_text)))


FORMS = pytest.mark.parametrize("travel", [through_msgpack, through_json])
Travel = Callable[[Any], Any]


def assert_same(arrived: Any, sent: NDArray[Any]) -> None:
    assert isinstance(arrived, np.ndarray)
    assert arrived.dtype == sent.dtype.newbyteorder("<")
    assert arrived.shape == sent.shape
    assert arrived.tobytes() == sent.astype(sent.dtype.newbyteorder("<")).tobytes()


@FORMS
@given(sent=ARRAYS)
def test_an_array_arrives_bit_for_bit(travel: Travel, sent: NDArray[Any]) -> None:
    assert_same(travel(sent), sent)


@FORMS
@given(sent=arrays(np.float32, array_shapes(min_dims=2, max_dims=3)))
def test_a_view_arrives_as_what_it_shows(travel: Travel, sent: NDArray[Any]) -> None:
    for view in (sent.T, sent[::-1], sent[..., ::2], np.asfortranarray(sent)):
        assert_same(travel(view), view)


@FORMS
def test_arrays_lie_anywhere_in_a_message(travel: Travel) -> None:
    sent = {"images": {"front": np.arange(6, dtype=np.uint8)}, "list": [np.zeros((0, 3)), {"n": 1}], "text": "a"}
    arrived = travel(sent)
    assert_same(arrived["images"]["front"], sent["images"]["front"])  # type: ignore[index,call-overload]
    assert_same(arrived["list"][0], np.zeros((0, 3)))
    assert (arrived["list"][1], arrived["text"]) == ({"n": 1}, "a")


@FORMS
@pytest.mark.parametrize(
    ("scalar", "plain"), [(np.float32(0.5), 0.5), (np.int64(3), 3), (np.uint8(3), 3), (np.bool_(True), True)]
)
def test_a_numpy_number_arrives_as_a_number(travel: Travel, scalar: Any, plain: Any) -> None:
    arrived = travel({"value": scalar})["value"]
    assert arrived == plain
    assert type(arrived) is type(plain)


@FORMS
def test_a_number_without_dimensions_stays_an_array(travel: Travel) -> None:
    assert_same(travel(np.array(1.5)), np.array(1.5))


def test_what_arrives_cannot_be_written_to() -> None:
    arrived = through_msgpack(np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        arrived[0] = 1


@pytest.mark.parametrize(
    "value",
    [
        np.array([None]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1j]),
        np.array(["2026-01-01"], "datetime64[D]"),
        np.zeros(2, [("x", "f4")]),
        np.zeros(2, np.longdouble),
        object(),
        {1, 2},
    ],
    ids=lambda value: str(getattr(value, "dtype", type(value).__name__)),
)
def test_only_numbers_of_every_machine_travel(value: Any) -> None:
    for encode in (encode_array, encode_array_as_text):
        with pytest.raises(TypeError, match="not travel"):
            encode(value)


GOOD = {"__ndarray__": "<f4", "shape": [1, 2], "data": b"\0" * 8}


def test_the_documented_array_is_read() -> None:
    message = '{"__ndarray__": "<f4", "shape": [1, 2], "data": "AAAAAAAAAD8="}'
    assert decode_arrays(json.loads(message)).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize("name", [">f4", "=f4", "f4", "<i4", "<u4"])
def test_every_byte_order_is_read(name: str) -> None:
    data = np.array([[1, 2]], np.dtype(name)).tobytes()
    assert decode_value({**GOOD, "__ndarray__": name, "data": data}).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "change",
    [
        {"__ndarray__": "|O"},
        {"__ndarray__": "O"},
        {"__ndarray__": "<c8"},
        {"__ndarray__": "|S8"},
        {"__ndarray__": "|V8"},
        {"__ndarray__": "<M8[s]"},
        {"__ndarray__": "<f4,<f4"},
        {"__ndarray__": "(2,)<f4"},
        {"__ndarray__": "<f3"},
        {"__ndarray__": "<f1"},
        {"__ndarray__": "<b2"},
        {"__ndarray__": "float"},
        {"__ndarray__": ""},
        {"__ndarray__": None},
        {"__ndarray__": 4},
        {"__ndarray__": ["<f4"]},
        {"__ndarray__": {"names": ["x"], "formats": ["<f4"]}},
        {"shape": [3]},
        {"shape": [-1, -2]},
        {"shape": [1.0, 2.0]},
        {"shape": [True, 2]},
        {"shape": ["1", "2"]},
        {"shape": "12"},
        {"shape": 2},
        {"shape": None},
        {"shape": {"1": 2}},
        {"shape": [1] * 100, "data": b"\0" * 4},
        {"shape": [0, 2**70], "data": b""},
        {"shape": [0, 2**62, 4], "data": b""},
        {"shape": [2**62, 4]},
        {"data": b"\0" * 7},
        {"data": b""},
        {"data": "AAAA"},
        {"data": "AAAAAAAAAD8"},
        {"data": "not base64!"},
        {"data": "é" * 8},
        {"data": None},
        {"data": 8},
        {"data": [0] * 8},
        {"data": {}},
    ],
    ids=str,
)
def test_what_only_claims_to_be_an_array_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        decode_value({**GOOD, **change})


@pytest.mark.parametrize("key", ["shape", "data"])
def test_an_array_has_all_its_parts(key: str) -> None:
    with pytest.raises(ValueError, match="not an array"):
        decode_value({name: value for name, value in GOOD.items() if name != key})


@given(
    st.fixed_dictionaries(
        {"__ndarray__": st.text(max_size=6) | st.sampled_from(["<f4", "|u1"])},
        optional={"shape": st.lists(st.integers(-1, 3), max_size=3) | st.integers(), "data": st.binary(max_size=16)},
    )
)
def test_whatever_is_sent_becomes_an_array_or_a_value_error(message: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(decode_value(message), np.ndarray)


def test_a_map_that_is_no_array_stays_as_it_is() -> None:
    plain = {"shape": [1], "data": b""}
    assert decode_value(plain) is plain


def test_data_in_json_are_base64() -> None:
    encoded = encode_array_as_text(np.array([1, 2], np.uint8))
    assert encoded == {"__ndarray__": "|u1", "shape": [2], "data": base64.b64encode(b"\1\2").decode()}
