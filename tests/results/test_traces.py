"""Traces: found by digest, checked when read, never half written, on any file system that fsspec knows."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.results.samples import trace
from vla_bench.results.traces import TraceFolder, decode_trace, encode_trace
from vla_bench.spec.errors import StoreCorrupted, StoreReadOnly, UsageError
from vla_bench.spec.result import Trace


def same(one: Trace, other: Trace) -> bool:
    arrays = ("actions", "query_steps", "latency_ms", "server_ms")
    return one.digests == other.digests and all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in arrays
    )


@pytest.fixture(params=["path", "file://", "memory://"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> TraceFolder:
    url = {"path": str(tmp_path / "t"), "file://": f"file://{tmp_path}/t", "memory://": f"memory://{uuid4().hex}"}
    return TraceFolder(url[request.param])


def test_a_trace_comes_back(folder: TraceFolder) -> None:
    digest = folder.write(trace(1))
    assert same(folder.read(digest), trace(1))
    assert len(digest) == 64


def test_equal_traces_are_one_file(folder: TraceFolder) -> None:
    assert folder.write(trace(1)) == folder.write(trace(1)) != folder.write(trace(2))


def test_a_missing_trace_is_named(folder: TraceFolder) -> None:
    with pytest.raises(StoreCorrupted, match="0" * 64):
        folder.read("0" * 64)


def test_removed_traces_are_gone_and_may_be_gone_before(folder: TraceFolder) -> None:
    digest = folder.write(trace(1))
    folder.remove([digest, "f" * 64])
    assert not folder.has(digest)


def test_traces_are_copied_between_folders_and_checked(folder: TraceFolder, tmp_path: Path) -> None:
    other = TraceFolder(tmp_path / "other")
    digest = folder.write(trace(1))
    other.copy_from(folder, digest)
    other.copy_from(folder, digest)
    assert same(other.read(digest), trace(1))
    with pytest.raises(StoreCorrupted):
        other.copy_from(folder, "0" * 64)


def _file(folder: Path) -> Path:
    return next(folder.glob("*/*.trace.zst"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "empty", "not a trace", "huge"])
def test_damage_is_noticed_when_a_trace_is_read(tmp_path: Path, damage: str) -> None:
    folder = TraceFolder(tmp_path)
    digest = folder.write(trace(1, n_steps=200))
    path = _file(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "flipped": data,
            "swapped": zstandard.compress(encode_trace(trace(2))),
            "empty": b"",
            "not a trace": zstandard.compress(msgpack.packb([1])),
            # A frame's header that promises 2**40 bytes: nothing is unpacked.
            "huge": b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little"),
        }[damage]
    )
    with pytest.raises(StoreCorrupted, match=digest):
        folder.read(digest)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    folder = TraceFolder(tmp_path)
    folder.write(trace(1))
    assert all(path.suffix == ".zst" for path in tmp_path.rglob("*") if path.is_file())


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreReadOnly, match="taken"):
        TraceFolder(tmp_path / "taken").write(trace(1))


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(UsageError, match="traces at nonsense://x"):
        TraceFolder("nonsense://x")


@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)),
    st.lists(st.floats(0, 1e4, width=32), max_size=6),
)
def test_every_trace_comes_back_bit_for_bit(actions, latencies) -> None:
    times = np.array(latencies, dtype=np.float32)
    made = Trace(
        actions=actions, query_steps=np.arange(len(times), dtype=np.int32), digests=("a",) * (len(times) + 1),
        latency_ms=times, server_ms=times,
    )  # fmt: skip
    back = decode_trace(encode_trace(made))
    assert same(back, made)
    assert back.actions.tobytes() == actions.tobytes()
