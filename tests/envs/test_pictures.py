"""The memory that pictures travel through."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vla_bench.envs.runtime import pictures
from vla_bench.envs.runtime.pictures import PictureReader, PictureWriter, create_memory

Ends = tuple[PictureWriter, PictureReader]

images = hnp.arrays(st.sampled_from([np.uint8, np.float32]), hnp.array_shapes(min_dims=2, max_dims=3, min_side=1))


def open_ends() -> Ends:
    descriptor = create_memory()
    return PictureWriter(os.dup(descriptor)), PictureReader(descriptor)


@pytest.fixture(params=["memfd", "unlinked file"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    if request.param == "memfd" and not hasattr(os, "memfd_create"):
        pytest.skip("this system has no memfd")
    if request.param != "memfd":
        monkeypatch.delattr(pictures.os, "memfd_create", raising=False)
    writer, reader = open_ends()
    yield writer, reader
    writer.close()
    reader.close()


@given(replies=st.lists(st.lists(images, max_size=4), max_size=4))
def test_every_picture_of_every_reply_arrives(replies: list[list[np.ndarray]]) -> None:
    writer, reader = open_ends()
    try:
        for reply in replies:
            writer.begin()
            places = [writer.write(image) for image in reply]
            for image, place in zip(reply, places, strict=True):
                arrived = reader.read(place)
                assert (arrived.dtype, arrived.shape) == (image.dtype, image.shape)
                assert arrived.tobytes() == image.tobytes()
    finally:
        writer.close()
        reader.close()


def test_what_was_read_does_not_change_with_the_next_reply(ends: Ends) -> None:
    writer, reader = ends
    first = reader.read(writer.write(np.full((8, 8, 3), 7, np.uint8)))
    writer.begin()
    writer.write(np.full((8, 8, 3), 9, np.uint8))
    assert (first == 7).all()
    assert first.flags.writeable


def test_a_turned_picture_arrives_as_it_looks(ends: Ends) -> None:
    writer, reader = ends
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[::-1, ::-1]
    assert np.array_equal(reader.read(writer.write(image)), image)


def test_the_memory_grows_with_the_reply(ends: Ends) -> None:
    writer, reader = ends
    small = writer.write(np.ones((2, 2), np.uint8))
    assert reader.read(small).sum() == 4
    large = writer.write(np.ones((1000, 1000), np.uint8))
    assert reader.read(large).sum() == 1_000_000
    assert reader.read(small).sum() == 4


@pytest.mark.parametrize(
    "place",
    [
        [0, "|u1", [1 << 40]],
        [-1, "|u1", [1]],
        [1 << 30, "|u1", [1]],
        [0, "|O", [1]],
        [0, "|u1", [-1]],
        [0, "nonsense", [1]],
        [0],
        None,
    ],
)
def test_a_place_outside_the_memory_is_refused(ends: Ends, place: object) -> None:
    writer, reader = ends
    writer.write(np.ones(64, np.uint8))
    with pytest.raises(ValueError, match="picture memory"):
        reader.read(place)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd")
def test_nobody_can_make_the_memory_smaller_under_a_reader() -> None:
    descriptor = create_memory()
    try:
        os.ftruncate(descriptor, 4096)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 1)
    finally:
        os.close(descriptor)


def test_closing_twice_closes_once(ends: Ends) -> None:
    writer, reader = ends
    for end in (writer, reader, writer, reader):
        end.close()
