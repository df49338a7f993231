"""Groups: one protocol or none, and two spreads that are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results import samples
from vla_bench.results.exports.papers import find_scores, lay_out, render
from vla_bench.results.groups import GroupKind, Member, define_group, group_summary, groups, remove_group
from vla_bench.results.groups.spread import between, mean_of_units, training_component, within
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownGroup, UnknownRun, UsageError
from vla_bench.spec.messages import PolicyInfo, PolicyKind
from vla_bench.spec.result import StageResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Task

SUITE = samples.suite(n_tasks=3, n_trials=4)
Add = Callable[..., str]


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture
def add(store: Store) -> Add:
    return adder(store)


def adder(store: Store) -> Add:
    """Call it to store a run whose first `n_success` episodes succeed; all are judged unless `n_judged` says less."""

    def add_run(name: str, n_success: int = 6, *, seed: int = 0, n_judged: int | None = None, **changes: object) -> str:
        of = changes.pop("of", SUITE)
        settings = EvalSettings(policy_seed=seed, **changes.pop("settings", {}))  # type: ignore[arg-type]
        plan = make_plan(of, policy_seed=seed, **changes.pop("plan", {}))  # type: ignore[arg-type]
        policy = changes.pop("policy", PolicyInfo(name="lamp", weights_digest=name))
        spec = samples.spec(name, of=of, plan=plan, settings=settings, policy=policy, **changes)
        store.begin_run(spec)
        outcomes = ["success"] * n_success + ["failure"] * (len(plan) - n_success)
        store.add(name, samples.results(plan, outcomes[: len(plan) if n_judged is None else n_judged]))
        store.finish(name)
        return name

    return add_run


def members(*texts: str) -> list[Member]:
    return [Member.parse(text) for text in texts]


def test_three_trainings_have_a_score_and_a_training_spread_but_no_evaluation_spread(store: Store, add: Add) -> None:
    for name, n_success in (("a", 6), ("b", 9), ("c", 12)):
        add(name, n_success)
    found = define_group(store, "lamp", members("a", "b", "c"))
    assert (found.protocol, found.n_units, found.n_evaluations, found.n_states) == ("training_seeds/3x4", 3, 1, 12)
    assert found.rate == pytest.approx(0.75)
    assert (found.n_success, found.n_judged, found.n_planned) == (27, 36, 36)
    assert found.training_spread is not None
    assert found.training_spread.sd == pytest.approx(0.25)
    assert found.evaluation_spread is found.training_component is None
    assert found.new_trainings is not None
    assert found.new_trainings.is_rough
    # Student t with two degrees of freedom: 0.75 ± 4.3027 · 0.25 / √3, cut at 1.
    assert (found.new_trainings.low, found.new_trainings.high) == (pytest.approx(0.128966, abs=1e-6), 1.0)
    assert group_summary(store, "lamp") == found


def test_two_evaluations_of_each_training_tell_the_two_spreads_apart(store: Store, add: Add) -> None:
    for training, scores in (("x", (6, 9)), ("y", (9, 12))):
        for seed, n_success in enumerate(scores):
            add(f"{training}{seed}", n_success, seed=seed)
    found = define_group(store, "lamp", members("x0=x", "x1=x", "y0=y", "y1=y"))
    assert (found.protocol, found.n_units, found.n_evaluations) == ("training_seeds/2x4", 2, 2)
    assert found.evaluation_spread is not None
    assert found.training_spread is not None
    assert found.evaluation_spread.sd == pytest.approx(0.25 / np.sqrt(2))
    assert found.evaluation_spread.degrees == 2
    assert found.training_spread.sd == pytest.approx(0.25 / np.sqrt(2))
    # Half of the variance between two trainings is the noise of their two evaluations each.
    assert found.training_component == pytest.approx(np.sqrt(0.25**2 / 2 - 0.25**2 / 4))


def test_chains_have_lengths_with_spreads_of_their_own(store: Store) -> None:
    tasks = tuple(Task(id=f"c{i}", instruction="", horizon=9, stages=("a", "b", "c")) for i in range(4))
    of = samples.suite(n_trials=1, tasks=tasks)
    for training, lengths in (("x", (3, 3, 1, 0)), ("y", (3, 2, 1, 1)), ("z", (3, 3, 3, 3))):
        for seed in (0, 1):
            settings, plan = EvalSettings(policy_seed=seed), make_plan(of, policy_seed=seed)
            spec = samples.spec(f"{training}{seed}", of=of, plan=plan, settings=settings)
            store.begin_run(spec)
            for episode, done in zip(plan.episodes, lengths, strict=True):
                stages = tuple(StageResult(index=i, success=i < done, n_steps=5) for i in range(min(3, done + 1)))
                outcome = "success" if done == 3 else "failure"
                store.add(spec.name, [samples.result(episode, outcome, stages=stages)])
    found = define_group(store, "calvin", members("x0=x", "x1=x", "y0=y", "y1=y", "z0=z", "z1=z"))
    chains = found.chains
    assert chains is not None
    assert chains.mean_length == pytest.approx((1.75 + 1.75 + 3) / 3)
    assert chains.stages == pytest.approx((11 / 12, 8 / 12, 7 / 12))
    assert sum(chains.stages) == pytest.approx(chains.mean_length)
    assert chains.evaluation_spread is not None
    assert chains.evaluation_spread.sd == 0.0
    assert chains.training_spread is not None
    assert chains.training_spread.sd == pytest.approx(np.std([1.75, 1.75, 3.0], ddof=1))
    assert chains.interval is not None
    assert 0 <= chains.interval.low < chains.mean_length < chains.interval.high <= 3
    assert chains.new_trainings is not None
    assert chains.new_trainings.high == 3.0
    text = render(lay_out(find_scores(store, ["calvin", "x0"]), "runs"), "markdown")
    assert "| SR@1 [%] | SR@2 [%] | SR@3 [%] | Length |" in text
    assert "| lamp |  | 4 | 1 | 75.0 | 50.0 | 50.0 | 1.75 |" in text


def test_repeats_inside_a_run_are_evaluations_too(store: Store, add: Add) -> None:
    for name, n_success in (("a", 12), ("b", 18)):
        add(name, n_success, plan={"repeats": 2})
    found = define_group(store, "lamp", members("a", "b"))
    assert (found.n_evaluations, [run.scores for run in found.runs]) == (2, [(1.0, 0.0), (1.0, 0.5)])
    assert found.protocol == "training_seeds/2x8"
    assert found.evaluation_spread is not None


def test_checkpoints_are_no_sample_of_trainings(store: Store, add: Add) -> None:
    for name, n_success in (("a", 6), ("b", 9)):
        add(name, n_success)
    found = define_group(store, "best", members("a", "b"), GroupKind.TOP_CHECKPOINTS)
    assert (found.protocol, found.is_selected, found.new_trainings) == ("top_checkpoints/2x4", True, None)
    assert found.training_spread is not None


def test_one_checkpoint_under_several_seeds(store: Store, add: Add) -> None:
    for seed, n_success in enumerate((6, 9)):
        add(f"s{seed}", n_success, seed=seed, policy=PolicyInfo(name="lamp", weights_digest="w"))
    found = define_group(store, "seeds", members("s0", "s1"), GroupKind.EVALUATION_SEEDS)
    assert (found.protocol, found.n_units, found.n_evaluations) == ("evaluation_seeds/2x4", 1, 2)
    assert found.training_spread is found.new_trainings is found.noise_ceiling is None
    assert found.evaluation_spread is not None
    with pytest.raises(UsageError, match="choose --kind evaluation_seeds"):
        define_group(store, "other", members("s0", "s1"))


def test_rollouts_of_one_initial_state_are_no_independent_trials(store: Store, add: Add) -> None:
    of = samples.suite(n_tasks=1, n_trials=12)
    for name in "abcdef":
        add(name, 6, of=of)
    found = define_group(store, "lamp", members(*"abcdef"))
    once = store.summary("a").these_tasks
    assert once is not None
    assert found.these_runs is not None
    assert found.these_runs.high - found.these_runs.low > 0.9 * (once.high - once.low)


def test_a_group_with_a_lost_episode_has_bounds_and_no_score(store: Store, add: Add) -> None:
    add("a", 6)
    add("b", 6, n_judged=10)
    found = define_group(store, "lamp", members("a", "b"))
    assert found.rate is found.these_runs is found.training_spread is found.noise_ceiling is None
    assert found.bounds == pytest.approx((12 / 24, 14 / 24))
    assert found.score_line == "12/22 of 24 planned, 2 lost (not_run 2)"
    assert [run.rate for run in found.runs] == [0.5, None]
    assert sum(task.n_lost for task in found.per_task) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"of": samples.suite(n_tasks=3, n_trials=8)}, "different contents of made_up"),
        ({"plan": {"n_trials": 2}}, "have 4 and 2 roll-outs a task"),
        ({"plan": {"repeats": 2}}, "have 4 and 8 roll-outs a task"),
        ({"plan": {"tasks": ["t0"]}}, "different initial states or tasks"),
        ({"of": samples.suite(n_tasks=3, n_trials=4, name="another")}, "are on made_up standard/1 and another"),
        ({"settings": {"replan_horizon": 4}}, r"different evaluation settings \(replan_horizon\)"),
        ({"policy": PolicyInfo(name="expert", kind=PolicyKind.ORACLE, weights_digest="b")}, "is an oracle"),
        ({"origin": {"tool": "vla-eval"}}, "is imported and self-reported"),
    ],
)
def test_protocols_are_never_mixed(store: Store, add: Add, changes: dict, words: str) -> None:
    add("a")
    add("b", 1, **changes)
    with pytest.raises(UsageError, match=words):
        define_group(store, "lamp", members("a", "b"))
    assert groups(store) == []


@pytest.mark.parametrize(
    ("texts", "kind", "words"),
    [
        (["a"], GroupKind.TRAINING_SEEDS, "at least two runs"),
        (["a", "A"], GroupKind.TRAINING_SEEDS, "'a' is named twice"),
        (["a=s", "b=s"], GroupKind.TRAINING_SEEDS, "same weights under the same policy seed"),
        (["a", "b"], GroupKind.EVALUATION_SEEDS, "of one checkpoint"),
        (["a=1", "b=2", "c=2"], GroupKind.TRAINING_SEEDS, "equally often in a group, not: 1 1, 2 2"),
        (["=x", "a"], GroupKind.TRAINING_SEEDS, "written RUN or RUN=LABEL"),
    ],
)
def test_what_is_no_group_is_refused(store: Store, add: Add, texts: list[str], kind: GroupKind, words: str) -> None:
    add("a")
    add("b")
    add("c", seed=1)
    with pytest.raises(UsageError, match=words):
        define_group(store, "lamp", members(*texts), kind)


def test_a_name_is_taken_once_and_removed_with_the_runs_kept(db: str, open_store: Callable[..., Store]) -> None:
    store = open_store(db)
    add = adder(store)
    add("a")
    add("b")
    define_group(store, "Lamp-Seeds", members("a", "b"))
    with pytest.raises(UsageError, match="a group 'Lamp-Seeds' already"):
        define_group(store, "Lamp-Seeds", members("a", "b"))
    assert [group.name for group in groups(store)] == ["Lamp-Seeds"]
    remove_group(store, "lamp_seeds")
    assert groups(store) == []
    assert len(store.summaries()) == 2
    with pytest.raises(UnknownGroup, match="vla-bench group list"):
        group_summary(store, "Lamp-Seeds")
    with pytest.raises(UnknownRun, match="Did you mean"):
        define_group(store, "x", members("a", "bb"))


def test_a_group_that_lost_a_run_no_longer_is_what_its_name_says(store: Store, add: Add) -> None:
    for name in "abc":
        add(name)
    define_group(store, "lamp", members("a", "b", "c"))
    store.delete("b")
    with pytest.raises(UsageError, match=r"lost 1 of its 3 runs"):
        group_summary(store, "lamp")


def test_the_json_form_is_plain_and_says_what_is_shown(store: Store, add: Add) -> None:
    add("a")
    add("b", 9)
    told = define_group(store, "lamp", members("a", "b")).to_dict()
    assert (told["schema"], told["kind"], told["score_line"]) == (
        "vla-bench/group/1",
        "training_seeds",
        "15/24 of 24 planned, 0 lost",
    )
    assert told["runs"][1] == {
        "run": "b", "label": "b", "n_planned": 12, "n_judged": 12, "n_success": 9, "rate": 0.75, "scores": [0.75]
    }  # fmt: skip


def test_the_interval_of_a_spread_is_honest_about_few_seeds() -> None:
    seen = between([[0.90], [0.92], [0.94]])
    assert seen is not None
    # Chi-square with two degrees of freedom: √(2/7.3778) and √(2/0.050636).
    assert (seen.sd, seen.low, seen.high) == (
        pytest.approx(0.02),
        pytest.approx(0.02 * 0.520658, rel=1e-4),
        pytest.approx(0.02 * 6.284710, rel=1e-4),
    )


def test_equal_scores_bound_nothing() -> None:
    seen = between([[0.9], [0.9], [0.9]])
    assert seen is not None
    assert (seen.sd, seen.low, seen.high) == (0.0, None, None)
    assert mean_of_units([[0.9], [0.9], [0.9]]) is None


def test_nothing_is_said_of_a_spread_that_was_not_seen() -> None:
    assert between([[0.9, 0.8]]) is within([[0.9], [0.8]]) is training_component([[0.9], [0.8]]) is None
    assert mean_of_units([[0.5, 0.6]]) is None


def test_noise_larger_than_what_is_seen_leaves_nothing_for_training() -> None:
    assert training_component([[0.0, 1.0], [0.1, 0.9]]) == 0.0


@given(
    units=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=5),
    shift=st.floats(-0.5, 0.5),
)
def test_spreads_do_not_depend_on_the_level(units: list[list[float]], shift: float) -> None:
    moved = [[score + shift for score in scores] for scores in units]
    for spread in (within, between):
        one, other = spread(units), spread(moved)
        assert one is not None
        assert other is not None
        assert one.sd == pytest.approx(other.sd, abs=1e-9)


def test_the_components_are_found_in_simulated_trainings() -> None:
    rng = np.random.default_rng(0)
    trainings, evaluations = 2000, 3
    levels = rng.normal(0.8, 0.03, (trainings, 1))
    scores = levels + rng.normal(0, 0.02, (trainings, evaluations))
    noise = within(scores.tolist())
    assert noise is not None
    assert noise.sd == pytest.approx(0.02, rel=0.05)
    assert training_component(scores.tolist()) == pytest.approx(0.03, rel=0.05)


def test_another_run_does_not_change_a_group(store: Store, add: Add) -> None:
    add("a")
    add("b")
    before = define_group(store, "lamp", members("a", "b"))
    add("c", 3)
    assert replace(group_summary(store, "lamp"), created_at="") == replace(before, created_at="")
