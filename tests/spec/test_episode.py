"""Plans: the same for everyone, split without loss, and identified by what they hold."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.small import TASKS, small_suite
from vla_bench.spec.canonical import content_id, sha256_hex, to_plain
from vla_bench.spec.episode import Episode, Shard, make_plan, policy_seed_of
from vla_bench.spec.errors import EmptyPlan, UnknownTask, UsageError
from vla_bench.spec.suite import Task

EPISODE = Episode(
    suite="small",
    protocol="standard/1",
    task="stack",
    trial=2,
    repeat=1,
    initial_state={"cube": [0.1, 0.2, 0.0]},
    env_seed=102,
    policy_seed=7,
    params={"friction": 0.5},
)
CHANGES = {
    "suite": "other",
    "protocol": "standard/2",
    "task": "open-drawer",
    "trial": 3,
    "repeat": 0,
    "initial_state": {"cube": [0.1, 0.2, 0.1]},
    "env_seed": 103,
    "policy_seed": 8,
    "params": {},
}
COUNTS = st.integers(1, 4)


def test_an_episodes_id_is_a_digest_of_its_content() -> None:
    assert EPISODE.id == content_id(to_plain(EPISODE))
    assert EPISODE.id == "380d984172b2ff04"


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_an_episode_is_part_of_its_id(field: str) -> None:
    assert replace(EPISODE, **{field: CHANGES[field]}).id != EPISODE.id


def test_numpy_numbers_and_tuples_make_the_same_episode() -> None:
    twin = replace(
        EPISODE, trial=np.int64(2), initial_state={"cube": (np.float64(0.1), 0.2, 0)}, env_seed=np.int32(102)
    )
    assert twin.id != EPISODE.id  # 0 is not 0.0
    assert replace(twin, initial_state={"cube": np.array([0.1, 0.2, 0.0])}).id == EPISODE.id


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda episode: pickle.loads(pickle.dumps(episode)), replace])
def test_a_copy_is_the_same_episode(copied: object) -> None:
    EPISODE.id  # noqa: B018  (a copy made after the id was asked for is the same, too)
    twin = copied(EPISODE)  # type: ignore[operator]
    assert twin == EPISODE
    assert twin.id == EPISODE.id
    assert {EPISODE: 1}[twin] == 1


def test_the_plan_of_the_small_suite_is_this_one() -> None:
    """If this digest changes, no stored run can be resumed or compared any more."""
    plan = make_plan(small_suite())
    assert plan.plan_hash == sha256_hex([to_plain(episode) for episode in plan.episodes])
    assert plan.plan_hash == "da4ee2fc7550c8291974996c348e402aa1b515490f74c77e31216440a8110f39"


def test_episodes_come_repeat_by_repeat_trial_by_trial_task_by_task() -> None:
    plan = make_plan(small_suite(), n_trials=2, repeats=2, tasks=["stack", "open-drawer"])
    assert len(plan) == 8
    assert [(episode.repeat, episode.trial, episode.task) for episode in plan.episodes[:5]] == [
        (0, 0, "open-drawer"),
        (0, 0, "stack"),
        (0, 1, "open-drawer"),
        (0, 1, "stack"),
        (1, 0, "open-drawer"),
    ]


def test_a_trial_has_its_own_env_seed_and_a_repeat_has_not() -> None:
    plan = make_plan(small_suite(), repeats=2)
    assert {(episode.trial, episode.env_seed) for episode in plan.episodes} == {(0, 100), (1, 101), (2, 102)}


def test_no_two_episodes_share_an_id_or_a_policy_seed() -> None:
    plan = make_plan(small_suite(), n_trials=40, repeats=5)
    assert len({episode.id for episode in plan.episodes}) == len(plan) == 600
    assert len({episode.policy_seed for episode in plan.episodes}) == 600


def test_parameters_and_initial_states_come_with_the_episode() -> None:
    states = tuple({"x": 0.1 * i} for i in range(3))
    suite = small_suite(tasks=(Task(id="a", instruction="a", horizon=5, initial_states=states, params={"p": 1}),))
    assert [dict(episode.initial_state) for episode in make_plan(suite).episodes] == list(states)
    assert all(episode.params == {"p": 1} for episode in make_plan(suite).episodes)
    with pytest.raises(UsageError, match="'a' has 3 initial states, not 4 trials"):
        make_plan(suite, n_trials=4)


@given(COUNTS, COUNTS)
def test_fewer_trials_are_a_prefix_of_more(few: int, more: int) -> None:
    few, more = sorted((few, more))
    short, long = make_plan(small_suite(), n_trials=few), make_plan(small_suite(), n_trials=more)
    assert short.episodes == long.episodes[: len(short)]


@given(COUNTS, COUNTS)
def test_fewer_repeats_are_a_prefix_of_more(few: int, more: int) -> None:
    few, more = sorted((few, more))
    short, long = make_plan(small_suite(), repeats=few), make_plan(small_suite(), repeats=more)
    assert short.episodes == long.episodes[: len(short)]


@given(st.sets(st.sampled_from([task.id for task in TASKS]), min_size=1), COUNTS, COUNTS)
def test_selecting_tasks_changes_no_episode_of_those_kept(tasks: set[str], n_trials: int, repeats: int) -> None:
    whole = make_plan(small_suite(), n_trials=n_trials, repeats=repeats)
    part = make_plan(small_suite(), tasks=tasks, n_trials=n_trials, repeats=repeats)
    assert part.episodes == tuple(episode for episode in whole.episodes if episode.task in tasks)


def test_the_order_and_the_spelling_of_a_selection_do_not_matter() -> None:
    plans = [
        make_plan(small_suite(), tasks=tasks) for tasks in (["stack", "open-drawer"], iter(["Open_Drawer", "STACK"]))
    ]
    assert plans[0].plan_hash == plans[1].plan_hash


def test_the_base_of_the_policy_seeds_changes_them_and_nothing_else() -> None:
    one, two = make_plan(small_suite()), make_plan(small_suite(), policy_seed=1)
    assert one.plan_hash != two.plan_hash
    for a, b in zip(one.episodes, two.episodes, strict=True):
        assert a.policy_seed != b.policy_seed
        assert replace(a, policy_seed=0) == replace(b, policy_seed=0)


def test_policy_seeds_are_these() -> None:
    assert policy_seed_of(0, "reach-v3", 0, 0) == 717867258
    assert policy_seed_of(3, "reach-v3", 49, 2) == 687239034


@given(st.integers(0, 2**64), st.text(min_size=1, max_size=20), st.integers(0, 1000), st.integers(0, 100))
def test_policy_seeds_fit_into_32_bits(base: int, task: str, trial: int, repeat: int) -> None:
    try:
        task.encode()
    except UnicodeEncodeError:
        return
    assert 0 <= policy_seed_of(base, task, trial, repeat) < 2**32


@pytest.mark.parametrize("counts", [{"n_trials": 0}, {"repeats": 0}, {"n_trials": -1}])
def test_a_plan_without_episodes_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(EmptyPlan, match="no episodes"):
        make_plan(small_suite(), **counts)  # type: ignore[arg-type]


def test_a_suite_without_tasks_has_no_plan() -> None:
    with pytest.raises(EmptyPlan, match="no tasks to run"):
        make_plan(small_suite(tasks=()))


def test_an_unknown_task_comes_with_the_near_ones() -> None:
    with pytest.raises(UnknownTask, match="Did you mean 'close-drawer' or 'open-drawer'"):
        make_plan(small_suite(), tasks=["stack", "clos-drawer"])


def test_a_negative_policy_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="not negative, got -1"):
        make_plan(small_suite(), policy_seed=-1)


@given(st.integers(1, 12), COUNTS)
def test_shards_are_disjoint_complete_and_in_plan_order(count: int, n_trials: int) -> None:
    plan = make_plan(small_suite(), n_trials=n_trials)
    parts = [Shard(index, count).of(plan) for index in range(1, count + 1)]
    order = {episode.id: position for position, episode in enumerate(plan.episodes)}
    positions = [[order[episode.id] for episode in part] for part in parts]
    assert all(each == sorted(each) for each in positions)
    assert sorted(chain(*positions)) == list(range(len(plan)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["1/4", "4/4", "1/1", " 2 / 3 "])
def test_a_shard_is_read_and_written(text: str) -> None:
    assert str(Shard.parse(text)) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "1", "/", "1/", "/2", "a/b", "1/2/3", "-1/2", "1.0/2", "²/4", "0/4", "5/4", "0/0"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a shard is written i/n"):
        Shard.parse(text)
