"""Whole runs from their configuration to their summary, on the toy suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vla_bench
import vla_bench.harness
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite
from vla_bench.harness import prepare
from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener, RunStarted
from vla_bench.harness.execute import execute_run
from vla_bench.harness.preview import preview_run
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.builtin.random import RandomPolicy
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import Interrupted, UnknownRun, UsageError
from vla_bench.spec.messages import PolicyInfo


class Log(Listener):
    """Names of what was heard, and the start."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.started: RunStarted | None = None

    def run_started(self, started: RunStarted) -> None:
        self.started = started
        self.events.append("run_started")

    def attempt_finished(self, *_: Any, **__: Any) -> None:
        self.events.append("attempt_finished")

    def episode_finished(self, *_: Any) -> None:
        self.events.append("episode_finished")

    def run_finished(self, summary: RunSummary) -> None:
        self.events.append("run_finished")


def evaluate(policy: Any = None, suite: str = "toy_reach", **more: Any) -> RunSummary:
    return vla_bench.evaluate(policy or ExpertPolicy(), suite, **{"executor": "inline", "trials": 1, **more})


def digests(name: str) -> dict[str, tuple[str, str]]:
    """Episode id → outcome and final state of the last attempt."""
    with Store.open() as store:
        last = {episode: store.attempts_of(name, episode)[-1].result for episode in store.outcomes(name)}
    return {episode: (str(result.outcome), result.final_digest) for episode, result in last.items()}


def test_a_live_policy_object_gives_the_same_result_as_the_same_policy_behind_a_server() -> None:
    live = evaluate(name="live")
    served = evaluate("expert", name="served", executor="local")
    assert live.score_line == served.score_line == "5/5 of 5 planned, 0 lost"
    assert (live.plan_hash, live.eval_hash, live.policy_digest) == (
        served.plan_hash,
        served.eval_hash,
        served.policy_digest,
    )
    assert digests("live") == digests("served")


def test_results_do_not_depend_on_the_number_of_workers_or_the_executor() -> None:
    for name, how in {
        "one": {"executor": "local", "workers": 1},
        "three": {"executor": "local", "workers": 3},
        "inline": {"executor": "inline"},
    }.items():
        evaluate(RandomPolicy(), name=name, trials=2, **how)
    assert digests("one") == digests("three") == digests("inline")
    assert len(digests("one")) == 10


def test_rendering_at_every_step_gives_the_same_states() -> None:
    policy = ExpertPolicy(cameras=["front", "wrist"], chunk=4)
    evaluate(policy, name="lazy")
    evaluate(policy, name="plain", lazy=False)
    assert digests("lazy") == digests("plain")


def test_events_come_in_order() -> None:
    log = Log()
    evaluate(listener=log)
    assert log.events == ["run_started", *["attempt_finished", "episode_finished"] * 5, "run_finished"]
    log = Log()
    evaluate(listener=log)
    assert log.events == ["run_started", "run_finished"]
    assert log.started is not None
    assert (log.started.n_judged, log.started.n_to_run, log.started.is_resumed) == (5, 0, True)


def test_a_run_that_was_cut_off_goes_on_where_it_stopped() -> None:
    class Stops(Listener):
        n = 0

        def episode_finished(self, result: object) -> None:
            self.n += 1
            if self.n == 2:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        evaluate(listener=Stops())
    log = Log()
    assert evaluate(listener=log).score_line == "5/5 of 5 planned, 0 lost"
    assert log.started is not None
    assert (log.started.n_judged, log.started.n_to_run) == (2, 3)


def test_interrupting_local_workers_keeps_finished_episodes_and_leaves_nothing() -> None:
    class Stops(Listener):
        def episode_finished(self, result: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        evaluate(RandomPolicy(), executor="local", workers=2, trials=4, listener=Stops(), name="run")
    with Store.open() as store:
        outcomes = store.outcomes("run")
    assert 1 <= len(outcomes) < 20
    assert all(outcome.is_judged for outcome in outcomes.values())


def test_shards_of_a_plan_make_up_the_whole_run() -> None:
    log = Log()
    first = evaluate(shard="1/2", trials=2, listener=log)
    assert first.n_judged == 5
    assert not first.is_complete
    assert log.started is not None
    assert (log.started.n_planned, log.started.shard) == (5, "1/2")
    second = evaluate(shard="2/2", trials=2)
    assert second.is_complete
    assert second.shards == ("1/2", "2/2")
    evaluate(trials=2, name="whole")
    assert digests("expert-toy_reach") == digests("whole")


def test_fresh_starts_anew_under_a_numbered_name() -> None:
    assert [evaluate(fresh=True).name for _ in range(2)] == ["expert-toy_reach", "expert-toy_reach-2"]


@pytest.mark.parametrize(
    ("suite", "protocol", "name"),
    [
        ("toy_reach", "", "expert-toy_reach"),
        ("Toy-Reach", "standard", "expert-toy_reach"),
        ("toy_reach", "hard_bounds", "expert-toy_reach-hard_bounds"),
    ],
)
def test_a_run_is_named_after_policy_suite_and_protocol(suite: str, protocol: str, name: str) -> None:
    assert evaluate(suite=suite, protocol=protocol).name == name


def test_the_whole_action_chunk_or_its_head_is_executed() -> None:
    def queries(name: str) -> list[int]:
        with Store.open() as store:
            attempts = store.attempts_of(name, next(iter(store.outcomes(name))))
            return [int(step) for step in store.trace(attempts[-1].trace_digest).query_steps]

    task = ["reach_in_order"]
    evaluate(NoopPolicy(chunk=6), name="whole", tasks=task)
    evaluate(NoopPolicy(chunk=6), name="head", tasks=task, settings={"replan_horizon": 4})
    assert queries("whole")[:4] == [0, 6, 12, 18]
    assert queries("head")[:4] == [0, 4, 8, 12]


def test_settings_given_win_over_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "policy: noop\noptions: {chunk: 8}\nsettings: {replan_horizon: 4, clip_actions: true}\nname: mine\n"
    )
    summary = evaluate(str(path), settings={"replan_horizon": 2, "crop": None})
    assert summary.settings["replan_horizon"] == 2
    assert summary.settings["clip_actions"] is True
    assert summary.settings["crop"] == 1.0
    assert (summary.policy, summary.name) == ("mine", "mine-toy_reach")


def options_of(policy: Any) -> EnvOptions:
    config = RunConfig(policy=policy, suite="toy_reach", executor="inline")
    with prepare.prepare(config, read_only=True) as prepared:
        return prepared.options


def test_the_simulator_gives_what_the_policy_wants_and_no_more() -> None:
    assert options_of(NoopPolicy()) == EnvOptions()
    assert options_of(ExpertPolicy()) == EnvOptions(privileged=True)
    assert options_of(ExpertPolicy(cameras=["wrist"])) == EnvOptions(privileged=True, cameras=("wrist",))


def test_history_offsets_come_from_the_policy() -> None:
    class Remembers(ExpertPolicy):
        seen: list[tuple[int, ...]] = []

        def info(self) -> PolicyInfo:
            return replace(super().info(), history=(-2, -1))

        def act(self, batch: Any) -> Any:
            self.seen.extend(tuple(row.history) for row in batch)
            return super().act(batch)

    policy = Remembers(cameras=["front"])
    summary = evaluate(policy, tasks=["reach_red"])
    assert summary.settings["history"] == [-2, -1]
    assert set(policy.seen) == {(-2, -1)}


def test_a_replayed_run_ends_in_the_same_states() -> None:
    evaluate(RandomPolicy(chunk=3), name="recorded", trials=2)
    summary = evaluate("replay", name="again", trials=2, policy_options={"run": "recorded"})
    assert summary.n_judged == 10
    assert digests("again") == digests("recorded")
    log = Log()
    evaluate("replay", name="again", trials=2, policy_options={"run": "recorded"}, listener=log)
    assert log.started is not None
    assert log.started.n_to_run == 0


def test_the_replay_of_a_run_is_asked_for_rightly() -> None:
    with pytest.raises(UnknownRun, match="absent"):
        evaluate("replay", policy_options={"run": "absent"})
    with pytest.raises(UsageError, match="not both"):
        evaluate("replay", policy_options={"run": "absent", "actions": "a.npz"})


def test_a_preview_changes_nothing_and_tells_what_would_be_done(home: Path) -> None:
    config = RunConfig(policy="expert", suite="toy_reach", trials=2)
    preview = preview_run(config)
    assert not list(home.iterdir())
    assert (preview.name, preview.exists, preview.differs) == ("expert-toy_reach", False, ())
    assert (preview.n_planned, preview.n_judged, preview.n_to_run) == (10, 0, 10)
    assert preview.plan_hash == make_plan(find_suite("toy_reach"), n_trials=2).plan_hash
    summary = execute_run(RunConfig(policy="expert", suite="toy_reach", trials=2, executor="inline"))
    assert preview.eval_hash == summary.eval_hash
    preview = preview_run(config)
    assert (preview.exists, preview.n_judged, preview.n_to_run) == (True, 10, 0)
    other = preview_run(RunConfig(policy="expert", suite="toy_reach", trials=3, settings={"clip_actions": True}))
    assert other.differs == ("plan", "settings")
    assert preview.to_dict()["plan_hash"] == preview.plan_hash


def test_latencies_add_up_to_the_wall_time() -> None:
    latencies = evaluate(name="timed").latencies
    shares = (latencies.policy_share, latencies.env_share, latencies.harness_share)
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0)
    assert latencies.n_queries > 0


@pytest.mark.parametrize("bad", [{"workers": 0}, {"max_attempts": 0}, {"env_call_s": 0.0}, {"server_wait_s": -1.0}])
def test_a_configuration_out_of_range_is_a_usage_error(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        RunConfig(policy="noop", suite="toy_reach", **bad)


def test_a_listener_that_raises_leaves_nothing_behind() -> None:
    class Bad(Listener):
        def attempt_finished(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("a display's own bug")

    with pytest.raises(RuntimeError, match="display"):
        evaluate(executor="local", workers=2, listener=Bad())


def test_repeats_give_each_state_another_policy_seed() -> None:
    summary = evaluate(RandomPolicy(), repeats=2, tasks=["reach_red"])
    assert (summary.n_planned, summary.n_repeats) == (2, 2)
    with Store.open() as store:
        runs = [store.attempts_of(summary.name, episode)[-1] for episode in store.outcomes(summary.name)]
        first, second = (store.trace(attempt.trace_digest).actions for attempt in runs)
    assert runs[0].result.initial_digest == runs[1].result.initial_digest
    assert not np.array_equal(first[:3], second[:3])


def test_the_room_exports_what_it_says() -> None:
    for name in vla_bench.harness.__all__:
        assert getattr(vla_bench.harness, name).__name__ == name
    with pytest.raises(AttributeError, match="absent"):
        vla_bench.harness.absent  # noqa: B018
