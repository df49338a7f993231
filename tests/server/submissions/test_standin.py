"""A run on made-up assets is no result: no bundle is written of it, and no board takes one that somebody wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.results import samples
from tests.server.submitting import DECLARATION, Board, Forgery
from vla_bench.results.rows import suite_digest
from vla_bench.results.store import Store
from vla_bench.server.submissions.bundle import write_bundle
from vla_bench.server.submissions.states import State
from vla_bench.spec.errors import UsageError

MARK = "grey boxes, not the published assets"


def test_no_bundle_is_written(tmp_path: Path) -> None:
    spec = samples.spec(of=replace(samples.suite(), standin=MARK))
    with Store.open(tmp_path / "runs.db") as store:
        store.begin_run(spec)
        store.add(spec.name, samples.results(spec.plan, ["success"] * len(spec.plan)))
        assert store.finish(spec.name).standin == MARK
        with pytest.raises(UsageError, match=f"is no result: {MARK}"):
            write_bundle(store, spec.name, DECLARATION, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_with_the_mark_is_refused(toy_bundle: Path, tmp_path: Path) -> None:
    forged = Forgery.of(toy_bundle)
    forged.members["suite.json"]["standin"] = forged.summary["standin"] = MARK
    forged.manifest["suite_digest"] = forged.summary["suite_digest"] = suite_digest(forged.members["suite.json"])
    board = Board(str(tmp_path / "board.db"), tmp_path)
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "forged"))
    assert (state, f"no results: {MARK}" in reason) == (State.REFUSED, True), reason
