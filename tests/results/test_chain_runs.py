"""Runs on chains of subtasks: average length, how many chains reached each link, how each subtask fared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.results.samples import attempt, spec, suite
from vla_bench.results.chains import ChainSummary, summarise_chains
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import EpisodeResult, StageResult
from vla_bench.spec.suite import Suite, Task

SUBTASKS = (("open", "lift", "place"), ("lift", "place", "close"), ("open", "close", "push"))


def chains_suite(n_chains: int = 3) -> Suite:
    tasks = tuple(
        Task(
            id=f"chain_{index}",
            instruction=f"do {SUBTASKS[index % 3][0]}",
            horizon=30,
            stages=tuple(f"do {name}" for name in SUBTASKS[index % 3]),
            params={"subtasks": list(SUBTASKS[index % 3])},
        )
        for index in range(n_chains)
    )
    return suite(n_trials=1, tasks=tasks, group_by=())


def chain_result(episode, length: int, *, number: int = 0) -> EpisodeResult:
    outcome = Outcome.SUCCESS if length == 3 else Outcome.FAILURE
    stages = [StageResult(index=i, success=True, n_steps=4) for i in range(length)]
    stages += [StageResult(index=length, success=False, n_steps=10)] if length < 3 else []
    return EpisodeResult(episode=episode, attempts=(attempt(outcome, number, stages=tuple(stages)),))


def run(store: Store, lengths: Sequence[int], of: Suite | None = None) -> RunSummary:
    made = spec(of=of or chains_suite(), name="chains")
    store.begin_run(made)
    episodes = made.plan.episodes
    store.add(made.name, [chain_result(episode, length) for episode, length in zip(episodes, lengths, strict=False)])
    return store.finish(made.name)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def test_lengths_links_and_subtasks_are_counted(store: Store) -> None:
    chains = run(store, [3, 1, 0]).chains
    assert chains is not None
    assert (chains.n_stages, chains.n_chains, chains.bounds) == (3, 3, None)
    assert chains.mean_length == pytest.approx(4 / 3)
    assert [(stage.k, stage.n_success, stage.n) for stage in chains.stages] == [(1, 2, 3), (2, 1, 3), (3, 1, 3)]
    assert chains.is_rough
    # Begun are those that were done, and the one after them; a subtask never begun has no rate.
    found = {part.subtask: (part.n_success, part.n_attempted, part.rate) for part in chains.subtasks}
    assert found == {
        "open": (1, 2, 0.5), "lift": (2, 2, 1.0), "place": (1, 2, 0.5), "close": (0, 0, None), "push": (0, 0, None),
    }  # fmt: skip
    assert list(found) == ["open", "lift", "place", "close", "push"]


def test_an_incomplete_run_has_counts_and_bounds_but_no_length(store: Store) -> None:
    chains = run(store, [3, 1]).chains
    assert chains is not None
    assert (chains.mean_length, chains.interval, chains.stages) == (None, None, ())
    assert chains.bounds == pytest.approx((4 / 3, 7 / 3))
    assert {part.rate for part in chains.subtasks} == {None}
    assert sum(part.n_attempted for part in chains.subtasks) == 5


def test_the_same_length_everywhere_has_no_interval(store: Store) -> None:
    chains = run(store, [2, 2, 2]).chains
    assert chains is not None
    assert (chains.mean_length, chains.error, chains.interval) == (2.0, 0.0, None)


def test_the_published_vector_gives_its_numbers() -> None:
    of = chains_suite(1000)
    stages = [f"s{i}" for i in range(5)]
    content = {"tasks": [{"id": task.id, "stages": stages} for task in of.tasks]}
    episodes = [{"task": task.id, "params": {}} for task in of.tasks]
    lengths = [length for length, count in enumerate([20, 40, 60, 80, 150, 650]) for _ in range(count)]
    chains = summarise_chains(content, episodes, zip((task.id for task in of.tasks), lengths, strict=True))
    assert chains is not None
    assert chains.interval is not None
    assert chains.mean_length == pytest.approx(4.25)
    assert [stage.rate for stage in chains.stages] == pytest.approx([0.98, 0.94, 0.88, 0.80, 0.65])
    assert chains.error == pytest.approx(0.039863, abs=1e-6)
    assert (chains.interval.low, chains.interval.high) == pytest.approx((4.17195, 4.3270), abs=2e-3)
    assert sum(stage.rate for stage in chains.stages) == pytest.approx(chains.mean_length)


def test_tasks_without_stages_or_of_different_lengths_are_no_chains(store: Store) -> None:
    assert summarise_chains({"tasks": [{"id": "t"}]}, [{"task": "t", "params": {}}], []) is None
    uneven = {"tasks": [{"id": "a", "stages": ["x", "y"]}, {"id": "b", "stages": ["x"]}]}
    assert summarise_chains(uneven, [], []) is None
    assert run(store, [], of=suite()).chains is None


def test_stored_form_and_headline_come_back(store: Store) -> None:
    summary = run(store, [3, 1, 0])
    assert RunSummary.from_dict(summary.to_dict()) == summary
    head = store.summaries()[0].chains
    assert isinstance(head, ChainSummary)
    assert isinstance(summary.chains, ChainSummary)
    assert head.subtasks == ()
    assert head.stages == summary.chains.stages
    assert store.summary("chains").chains == summary.chains


def test_a_lost_attempt_before_the_judged_one_does_not_count(store: Store) -> None:
    made = spec(of=chains_suite(1), name="chains")
    store.begin_run(made)
    lost = attempt(Outcome.ENV_ERROR, 0, stages=(StageResult(index=0, success=True, n_steps=4),))
    judged = chain_result(made.plan.episodes[0], 2, number=1).attempts
    store.add(made.name, [EpisodeResult(episode=made.plan.episodes[0], attempts=(lost, *judged))])
    store.finish(made.name)
    chains = store.summary(made.name).chains
    assert chains is not None
    assert chains.mean_length == 2.0
    assert len(make_plan(made.suite)) == chains.n_chains == 1
