"""Canonical JSON: one text for one value, whoever writes it."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.spec.canonical import TEST_VECTOR, blake2b_hex, canonical_json, content_id, sha256_hex, to_plain

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.StrEnum):
    RED = "red"


class Shade(str, enum.Enum):  # noqa: UP042  (its str() is not its value)
    DARK = "dark"


class Level(enum.IntEnum):
    TWO = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float


def test_the_published_vector_holds() -> None:
    value, text, digest = TEST_VECTOR
    assert canonical_json(value) == text
    assert sha256_hex(value) == digest
    assert canonical_json(json.loads(text)) == text


def test_the_form_is_compact_sorted_and_utf8() -> None:
    assert canonical_json({"ü": 1, "b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5],"ü":1}'


@given(PLAIN)
def test_what_was_written_reads_back_and_is_written_the_same(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(TEXTS, PLAIN, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_keeps_its_bits_but_for_the_sign_of_zero(number: float) -> None:
    back = json.loads(canonical_json(number))
    assert type(back) is float
    assert np.float64(back).tobytes() == np.float64(number + 0.0).tobytes()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.5, -0.0]), [0.5, 0.0]),
        (np.array(3.5), 3.5),
        (np.array(3), 3),
        (np.array([], np.float32), []),
        (np.array([True]), [True]),
        (np.array(["a"]), ["a"]),
        (np.array([1, None], object), [1, None]),
        (Point(1.0, np.float64(2)), {"x": 1.0, "y": 2.0}),
        ((1, (2,)), [1, [2]]),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (Colour.RED, "red"),
        (Shade.DARK, "dark"),
        (Level.TWO, 2),
        ({Colour.RED: 1, Shade.DARK: 2}, {"red": 1, "dark": 2}),
        (-0.0, 0.0),
    ],
    ids=repr,
)
def test_whatever_means_a_plain_value_is_written_as_it(value: Any, plain: Any) -> None:
    assert canonical_json(value) == canonical_json(plain)
    assert json.loads(canonical_json(value)) == plain


def test_integers_and_floats_stay_apart() -> None:
    assert [canonical_json(value) for value in (1, 1.0, True)] == ["1", "1.0", "true"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.array([0, np.inf])])
def test_a_number_that_is_none_is_refused_wherever_it_hides(value: Any) -> None:
    for wrapped in (value, [value], {"a": {"b": value}}):
        with pytest.raises(ValueError, match="no form for"):
            canonical_json(wrapped)


@pytest.mark.parametrize("value", [{1: 2}, {None: 1}, {("a",): 1}, {b"a": 1}])
def test_keys_are_texts(value: Any) -> None:
    with pytest.raises(ValueError, match="string keys"):
        canonical_json({"inside": [value]})


@pytest.mark.parametrize("value", [b"bytes", bytearray(b"b"), {1, 2}, object(), 1j, Point, np.array([b"a"]), iter([1])])
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no form for"):
        canonical_json({"inside": [value]})


def test_plain_values_share_nothing_with_what_they_were_made_of() -> None:
    value = {"a": [1, 2]}
    plain = to_plain(value)
    plain["a"].append(3)
    assert value == {"a": [1, 2]}


def test_digests_have_their_lengths_and_follow_the_content() -> None:
    assert content_id({"a": 1, "b": 2}) == sha256_hex({"b": 2, "a": 1})[:16]
    assert content_id({"a": 1}) != content_id({"a": 1.0})
    # BLAKE2b with a digest of 16 bytes, of nothing.
    assert blake2b_hex(b"") == "cae66941d9efbd404e4d88758ea67670"
