"""Replay on a real simulator: equal to the bit in another process, and pictures that are no blank sheets."""

from __future__ import annotations

from pathlib import Path

import pytest

import vla_bench
from tests.harness.runs import Forger, moved
from vla_bench.envs.registry import find_suite
from vla_bench.harness.film import Reel
from vla_bench.harness.film.stills import make_stills
from vla_bench.harness.replay import Agreement, recordings_of, verify_run
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.store import Store

pytestmark = pytest.mark.sim

RUN = "metaworld"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("metaworld") / "results.db"
    vla_bench.evaluate(
        ExpertPolicy(noise=0.3, chunk=3), "metaworld_mt10", protocol="compact", tasks=["reach-v3", "drawer-open-v3"],
        trials=1, name=RUN, db=str(path), workers=1,
    )  # fmt: skip
    return path


def test_chunks_that_are_joined_give_the_same_states_to_the_bit(db: Path) -> None:
    with Store.open(db, read_only=True) as store:
        verification = verify_run(store, RUN, workers=2)
    assert verification.counts == {Agreement.BIT: 2}
    assert all(result.is_same_machine for result in verification.results)


def test_one_action_a_hundredth_off_is_found(db: Path, tmp_path: Path) -> None:
    forger = Forger.of(db, tmp_path / "forged")
    forger.retrace(forger.episodes()[0], lambda trace: moved(trace, step=4))
    with forger.open() as store:
        verification = verify_run(store, RUN, workers=1)
    assert verification.counts == {Agreement.BIT: 1, Agreement.DIFFERS: 1}


def test_stills_show_the_first_state_and_the_last(db: Path) -> None:
    with Store.open(db, read_only=True) as store:
        recordings = recordings_of(gather_evidence(store, RUN).judged)
        reel = Reel(name=RUN, traces=store.traces, control_mode="", recordings=tuple(recordings))
        suite = find_suite("metaworld_mt10", "compact")
        stills = list(make_stills(suite, reel, recordings, n_frames=3, height=96, workers=1))
    for still, recording in zip(stills, recordings, strict=True):
        assert still.agreement == "bit"
        assert [step for step, _ in still.frames] == [0, round(recording.attempt.n_steps / 2), still.n_steps]
        pictures = {data for _, data in still.frames}
        assert len(pictures) == len(still.frames), "the arm has moved"
