"""The channel between a run and its worker: whole messages, or one of three errors."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vla_bench.envs.runtime.channel import Channel, ChannelClosed, ChannelGarbage, ChannelTimeout

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "__ndarray__"), inner),
    max_leaves=20,
)
arrays = hnp.arrays(
    st.sampled_from([np.bool_, np.uint8, np.int32, np.float32, np.float64]), hnp.array_shapes(min_dims=0, max_dims=3)
)


class Line:
    """A channel and the raw socket at its other end."""

    def __init__(self, **options: int) -> None:
        ours, self.raw = socket.socketpair()
        self.channel = Channel(ours, **options)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.raw.close()


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(message=plain)
def test_what_is_sent_arrives(message: object) -> None:
    with Line() as line:
        other = Channel(line.raw)
        line.channel.send(message)
        assert other.receive(timeout_s=5) == message


@given(array=arrays)
def test_arrays_arrive_with_their_type_and_shape(array: np.ndarray) -> None:
    with Line() as line:
        line.channel.send({"array": array})
        arrived = Channel(line.raw).receive(timeout_s=5)["array"]
        assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
        assert arrived.tobytes() == array.tobytes()


@given(messages=st.lists(plain, min_size=1, max_size=5), cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frames_may_arrive_in_any_pieces(messages: list[object], cuts: list[int]) -> None:
    stream = b"".join(frame(msgpack.packb(message)) for message in messages)
    with Line() as line:
        position = 0
        for size in [*cuts, len(stream)]:
            line.raw.sendall(stream[position : position + size])
            position += size
        assert [line.channel.receive(timeout_s=5) for _ in messages] == messages


@given(message=plain, data=st.data())
def test_a_frame_that_is_cut_short_is_an_end_and_never_a_message(message: object, data: st.DataObject) -> None:
    whole = frame(msgpack.packb(message))
    with Line() as line:
        line.raw.sendall(whole[: data.draw(st.integers(0, len(whole) - 1))])
        line.raw.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelClosed):
            line.channel.receive(timeout_s=5)


@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_is_garbage_or_a_plain_value_and_nothing_else(garbage: bytes) -> None:
    with Line() as line:
        line.raw.sendall(frame(garbage))
        with suppress(ChannelGarbage):
            line.channel.receive(timeout_s=5)


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"\x01\x02",
        msgpack.packb({"__ndarray__": "|O", "shape": [1], "data": b"12345678"}),
        msgpack.packb({"__ndarray__": "<f4", "shape": [3], "data": b"1234"}),
        b"\x91" * 2000 + b"\x01",
    ],
    ids=["no msgpack", "two values", "array of objects", "array too short", "nested too deep"],
)
def test_a_frame_that_is_not_ours_is_garbage(line: Line, body: bytes) -> None:
    line.raw.sendall(frame(body))
    with pytest.raises(ChannelGarbage, match="not msgpack"):
        line.channel.receive(timeout_s=5)


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with Line(max_bytes=100) as line:
        line.raw.sendall(struct.pack(">I", 101))
        with pytest.raises(ChannelGarbage, match="101 bytes is over the limit of 100"):
            line.channel.receive(timeout_s=5)


def test_a_message_over_the_limit_is_not_sent() -> None:
    with Line(max_bytes=100) as line:
        with pytest.raises(ChannelGarbage, match="over the limit"):
            line.channel.send(b"x" * 101)
        line.channel.send(b"small")
        assert Channel(line.raw).receive(timeout_s=5) == b"small"


def test_a_message_without_a_wire_form_spoils_nothing(line: Line) -> None:
    with pytest.raises(TypeError, match="does not travel"):
        line.channel.send(["begun", object()])
    line.channel.send("next")
    assert Channel(line.raw).receive(timeout_s=5) == "next"


def test_silence_ends_at_the_deadline(line: Line) -> None:
    with pytest.raises(ChannelTimeout):
        line.channel.receive(timeout_s=0.05)


def test_dripping_bytes_do_not_extend_the_deadline(line: Line) -> None:
    enough = threading.Event()

    def drip() -> None:
        line.raw.sendall(struct.pack(">I", 1000))
        while not enough.wait(0.01):
            line.raw.sendall(b"\xc0")

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        with pytest.raises(ChannelTimeout):
            line.channel.receive(timeout_s=0.2)
    finally:
        enough.set()
        dripper.join()


def test_sending_to_who_does_not_read_ends_at_the_deadline(line: Line) -> None:
    with pytest.raises(ChannelTimeout, match="not read within"):
        line.channel.send(bytes(8 << 20), timeout_s=0.05)


def test_sending_to_who_is_gone_is_an_end(line: Line) -> None:
    line.raw.close()
    with pytest.raises(ChannelClosed):
        line.channel.send("anybody?")


def test_what_is_on_the_way_arrives_after_hanging_up(line: Line) -> None:
    line.raw.sendall(frame(msgpack.packb("last")))
    line.channel.hang_up()
    line.channel.hang_up()
    assert line.raw.recv(10) == b""
    assert line.channel.receive(timeout_s=5) == "last"
