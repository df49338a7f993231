from __future__ import annotations

import contextlib
import json
import math
from dataclasses import fields
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from vla_bench.policies import codec
from vla_bench.policies.codec import Form, Opening, Receipt
from vla_bench.spec.conventions import ActionConvention, Gripper, ImageConvention, Orientation, Rotation
from vla_bench.spec.errors import BadReply, BadRequest, PolicyError, PolicyRaised, SessionLost
from vla_bench.spec.messages import (
    ActionChunk,
    CameraRequest,
    EpisodeInfo,
    Identity,
    Observation,
    PolicyInfo,
    PolicyKind,
)

FORMS = st.sampled_from(list(Form))
NAMES = st.text(max_size=8)
COUNTS = st.integers(0, 2**31)
IDENTITIES = st.builds(Identity, NAMES, NAMES, COUNTS, COUNTS, COUNTS, NAMES)


def arrays(dtype: type, n_dimensions: int) -> st.SearchStrategy[Any]:
    shapes = nps.array_shapes(min_dims=n_dimensions, max_dims=n_dimensions, min_side=0, max_side=4)
    return nps.arrays(dtype, shapes)


PICTURES = st.dictionaries(NAMES, arrays(np.uint8, 3), max_size=2)
OBSERVATIONS = st.builds(
    Observation,
    identity=IDENTITIES,
    images=PICTURES,
    state=st.dictionaries(NAMES, arrays(np.float32, 1), max_size=2),
    instruction=st.text(max_size=20),
    history=st.dictionaries(st.integers(-50, -1), PICTURES, max_size=2),
    depth=st.dictionaries(NAMES, arrays(np.float32, 2), max_size=2),
    privileged=st.dictionaries(NAMES, arrays(np.float64, 1), max_size=2),
)


def assert_equal(ours: Any, theirs: Any) -> None:
    """Equal bit for bit, through maps and arrays."""
    if isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    else:
        assert ours == theirs


@given(OBSERVATIONS, FORMS)
def test_an_observation_survives_the_wire_bit_for_bit(observation: Observation, form: Form) -> None:
    found = codec.decode_observation(codec.encode_observation(observation, form), form)
    for field in fields(Observation):
        assert_equal(getattr(observation, field.name), getattr(found, field.name))


@given(arrays(np.float32, 2), IDENTITIES, st.floats(0, 1e6), FORMS)
def test_a_chunk_survives_the_wire_bit_for_bit(actions: Any, identity: Identity, server_ms: float, form: Form) -> None:
    chunk = ActionChunk(actions=actions, identity=identity, server="x", server_ms=server_ms)
    found = codec.decode_chunk(codec.encode_chunk(chunk, form), form)
    assert_equal(actions, found.actions)
    assert (found.identity, found.server, found.server_ms) == (identity, "x", server_ms)


@pytest.mark.parametrize("form", Form)
def test_nan_and_infinities_survive_with_their_payload(form: Form) -> None:
    bits = np.array([[0x7FC00001, 0xFF800000, 0x7F800000, 0xFFC12345, 0x80000000]], dtype=np.uint32)
    chunk = ActionChunk(actions=bits.view(np.float32), identity=Identity("s", "e", 0, 0, 0, "r"))
    found = codec.decode_chunk(codec.encode_chunk(chunk, form), form)
    assert found.actions.tobytes() == bits.tobytes()


@given(
    st.builds(
        EpisodeInfo,
        episode=NAMES,
        attempt=COUNTS,
        stage=COUNTS,
        suite=NAMES,
        task=NAMES,
        instruction=st.text(max_size=20),
        horizon=COUNTS,
        policy_seed=st.integers(0, 2**32 - 1),
        n_actions=COUNTS,
        action_low=st.floats(-100, 100),
        action_high=st.floats(-100, 100),
    ),
    NAMES,
    FORMS,
)
def test_a_reset_survives_the_wire(episode: EpisodeInfo, request_id: str, form: Form) -> None:
    assert codec.decode_reset(codec.encode_reset(episode, request_id, form), form) == (episode, request_id)


INFO = PolicyInfo(
    name="lamp",
    version="2",
    weights_digest="ab" * 32,
    kind=PolicyKind.ORACLE,
    action=ActionConvention(rotation=Rotation.QUAT_XYZW, gripper=Gripper.PLUS_OPENS, position_unit_m=0.01),
    cameras=(CameraRequest(name="front", height=8, convention=ImageConvention(orientation=Orientation.ROTATED_180)),),
    state={"eef": 3},
    history=(-4, -8),
    wants_depth=True,
    chunk_length=16,
    batch_limit=4,
    options={"noise": 0.5, "deep": {"list": [1, None, "x"]}},
)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("info", [INFO, PolicyInfo(name="noop")])
def test_a_handshake_survives_the_wire_with_its_digest(info: PolicyInfo, form: Form) -> None:
    found = codec.decode_info(codec.encode_info(info, "server-1", form), form)
    assert found.info == info
    assert found.info.digest == found.digest == info.digest
    assert found.server == "server-1"


@pytest.mark.parametrize("form", Form)
def test_receipts_and_openings_survive_the_wire(form: Form) -> None:
    receipt = Receipt(Identity("s", "e", 1, 2, 0, "r"), "x")
    assert codec.decode_receipt(codec.encode_receipt(receipt, form), form) == receipt
    opening = Opening("s", "d", "x")
    assert codec.decode_opening(codec.encode_opening(opening, form), form) == opening


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("kind", [PolicyError, *PolicyError.__subclasses__()])
def test_every_policy_error_travels_as_itself_on_one_line(kind: type[PolicyError], form: Form) -> None:
    found = codec.decode_error(codec.encode_error(kind("first\nsecond"), form), form)
    assert type(found) is kind
    assert str(found) == "first second"


def test_an_unknown_kind_is_a_plain_policy_error_and_other_bytes_are_none() -> None:
    assert type(codec.decode_error(b'{"kind": "harness_error", "message": "m"}', Form.JSON)) is PolicyError
    for garbage in (b"", b"[]", b'{"kind": 1, "message": "m"}', b'{"detail": "Not Found"}', b"\xff"):
        assert codec.decode_error(garbage, Form.JSON) is None


def test_a_long_error_message_is_cut() -> None:
    assert len(codec.encode_error(PolicyRaised("x" * 10**6))) < 3000


@given(st.binary(max_size=200), FORMS)
def test_garbage_is_a_bad_request_or_a_bad_reply_and_nothing_else(data: bytes, form: Form) -> None:
    for decode, error in (
        (codec.decode_observation, BadRequest),
        (codec.decode_reset, BadRequest),
        (codec.decode_chunk, BadReply),
        (codec.decode_info, BadReply),
        (codec.decode_receipt, BadReply),
        (codec.decode_opening, BadReply),
    ):
        with pytest.raises(error):
            decode(data, form)


@given(st.data())
def test_a_damaged_observation_is_refused_or_decoded_but_never_another_error(data: st.DataObject) -> None:
    whole = bytearray(codec.encode_observation(data.draw(OBSERVATIONS)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadRequest):
        codec.decode_observation(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


PLAIN: dict[str, Any] = {
    "identity": {"session": "s", "episode": "e", "attempt": 0, "stage": 0, "step": 0, "request": "r"}
}


@pytest.mark.parametrize("name", list(PLAIN["identity"]))
def test_a_missing_identity_field_is_named(name: str) -> None:
    identity = {key: value for key, value in PLAIN["identity"].items() if key != name}
    with pytest.raises(BadRequest, match=f"no '{name}'"):
        codec.decode_observation(msgpack.packb({"identity": identity}))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"state": {"p": {"__ndarray__": "<f8", "shape": [1], "data": b"\0" * 8}}}, "state.p.*float64"),
        ({"images": {"a": {"__ndarray__": "|u1", "shape": [2, 2], "data": b"\0" * 4}}}, r"images.a.*\[2, 2\]"),
        ({"images": {"a": [[["x"]]]}}, "images.a"),
        ({"images": {"a": [[[300]]]}}, "images.a"),
        ({"images": {"a": [[[0.5]]]}}, "images.a.*whole numbers"),
        ({"images": []}, "'images' is list"),
        ({"state": {"p": "x"}}, "state.p"),
        ({"instruction": 5}, "'instruction' is int"),
        ({"history": {"x": {}}}, "history.x"),
        ({"state": {"p": {"__ndarray__": "|O", "shape": [1], "data": b"\0" * 8}}}, "not an array"),
        ({"state": {"p": {"__ndarray__": "<f4", "shape": [3], "data": b"\0" * 8}}}, "not an array"),
        ({"state": {"p": {"__ndarray__": "<f4", "shape": [2], "data": 8}}}, "not a message"),
    ],
)
def test_a_wrong_array_is_refused_by_its_name(more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        codec.decode_observation(msgpack.packb(PLAIN | more))


def test_plain_lists_are_arrays_in_json() -> None:
    message = PLAIN | {"state": {"p": [1, 2.5]}, "images": {"a": [[[1, 2, 3]]]}}
    found = codec.decode_observation(json.dumps(message).encode(), Form.JSON)
    assert_equal(found.state["p"], np.array([1, 2.5], np.float32))
    assert_equal(found.images["a"], np.array([[[1, 2, 3]]], np.uint8))
    chunk = json.dumps(PLAIN | {"actions": [[1, math.nan]], "server": "x"}).encode()
    assert_equal(codec.decode_chunk(chunk, Form.JSON).actions, np.array([[1, math.nan]], np.float32))


def test_a_reply_without_actions_says_what_it_has_instead() -> None:
    with pytest.raises(BadReply, match="without 'actions': out of memory"):
        codec.decode_chunk(msgpack.packb({"error": "out of\nmemory"}))
    with pytest.raises(BadReply, match=r"without 'actions', only \['identity'\]"):
        codec.decode_chunk(msgpack.packb(PLAIN))


def test_actions_keep_the_dtype_that_was_sent() -> None:
    sent = np.array([[1, 2]], np.int64)
    message = PLAIN | {"actions": sent, "server": "x"}
    found = codec.decode_chunk(msgpack.packb(message, default=codec.encode_array))
    assert_equal(found.actions, sent)


def test_a_convention_of_a_later_version_does_not_pass_unseen() -> None:
    message = msgpack.unpackb(codec.encode_info(INFO, "x"))
    message["policy"]["action"]["rotation"] = "dual_quaternion"
    with pytest.raises(BadReply, match="dual_quaternion"):
        codec.decode_info(msgpack.packb(message))
    message = msgpack.unpackb(codec.encode_info(INFO, "x"))
    message["policy"]["action"]["wrist"] = 1
    with pytest.raises(BadReply, match="wrist"):
        codec.decode_info(msgpack.packb(message))


def test_unknown_fields_of_a_request_are_ignored() -> None:
    assert codec.decode_observation(msgpack.packb(PLAIN | {"later": 1})).identity.episode == "e"


def test_a_nested_bomb_is_refused() -> None:
    for form, bomb in ((Form.MSGPACK, b"\x91" * 100_000), (Form.JSON, b"[" * 100_000)):
        with pytest.raises(BadRequest):
            codec.decode_observation(bomb, form)


def test_an_error_of_a_session_is_not_taken_for_an_answer() -> None:
    with pytest.raises(BadReply):
        codec.decode_chunk(codec.encode_error(SessionLost("gone")))
