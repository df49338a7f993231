"""Traces are stored while others are checked: all of them stay, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vla_bench.results.store import Store
from vla_bench.server.submissions import keeping
from vla_bench.server.submissions.keeping import TraceKeeper
from vla_bench.spec.errors import StoreError, StoreLocked, SubmissionRefused

PACKED = [f"trace {number}".encode() for number in range(450)]
DIGESTS = [hashlib.sha256(packed).hexdigest() for packed in PACKED]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "board.db", traces=tmp_path / "traces") as opened:
        yield opened


@pytest.fixture(autouse=True, params=[0.0, 1e9], ids=["by a thread", "at once"])
def limit_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is always slow, and one that never is."""
    monkeypatch.setattr(keeping, "_SLOW_S", request.param)


def keep_all(store: Store, then: Callable[[], object] = lambda: None) -> None:
    """What a listing does with traces."""
    with TraceKeeper(store) as keeper:
        for digest, packed in zip(DIGESTS, PACKED, strict=True):
            keeper.put(digest, packed)
        keeper.begin_sync()
        keeper.check_all_are_kept()
        then()
        keeper.check_all_are_kept()


def refuse() -> None:
    raise SubmissionRefused("an outcome was changed")


def test_all_are_there_before_the_run_is_listed(store: Store) -> None:
    keep_all(store)
    assert all(store.traces.has(digest) for digest in DIGESTS)


def test_a_refusal_takes_back_what_was_written_and_nothing_else(store: Store) -> None:
    store.traces.put_packed(DIGESTS[0], PACKED[0])
    with pytest.raises(SubmissionRefused):
        keep_all(store, refuse)
    assert [store.traces.has(digest) for digest in DIGESTS] == [True] + [False] * (len(DIGESTS) - 1)


def test_traces_that_another_submission_took_along_are_missed_in_time(store: Store) -> None:
    with pytest.raises(StoreLocked, match="once more"):
        keep_all(store, lambda: store.traces.remove(DIGESTS[7:8]))


def test_a_store_that_takes_no_files_is_an_error_of_the_listing(store: Store) -> None:
    folder = Path(store.traces.path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DIGESTS[0][:2]).write_text("no folder")
    with pytest.raises(StoreError):
        keep_all(store)
