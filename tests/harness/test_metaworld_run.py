"""A whole run on a real simulator: server, workers, pictures, database."""

from __future__ import annotations

import pytest

import vla_bench
from vla_bench.results.store import Store

pytestmark = pytest.mark.sim

REACH = {"suite": "metaworld_mt10", "protocol": "compact", "tasks": ["reach-v3"], "trials": 1}


def trace_of(name: str) -> tuple[str, ...]:
    with Store.open() as store:
        (episode,) = store.outcomes(name)
        return store.trace(store.attempts_of(name, episode)[-1].trace_digest).digests


def test_the_scripted_expert_reaches_and_lazy_rendering_changes_no_state() -> None:
    options = {"cameras": ["front", "wrist"], "chunk": 4}
    lazy = vla_bench.evaluate("expert", policy_options=options, name="lazy", **REACH)
    plain = vla_bench.evaluate("expert", policy_options=options, name="plain", lazy=False, **REACH)
    assert lazy.score_line == plain.score_line == "1/1 of 1 planned, 0 lost"
    assert trace_of("lazy") == trace_of("plain")


def test_a_replay_of_its_actions_gives_the_same_states_in_another_process() -> None:
    vla_bench.evaluate("expert", name="first", **REACH)
    replayed = vla_bench.evaluate("replay", policy_options={"run": "first", "chunk": 1}, name="again", **REACH)
    assert replayed.n_success == 1
    assert trace_of("again") == trace_of("first")
