from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policies.questions import ask, ask_through_host, episode, observation
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.toy_reach import family
from vla_bench.policies.base import Policy
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.builtin.random import RandomPolicy
from vla_bench.policies.builtin.replay import ReplayPolicy
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownSuite, UsageError
from vla_bench.spec.messages import PolicyKind
from vla_bench.testing.policy import check_policy

HAND, GOAL = np.zeros(3), np.array([0.01, -0.2, 0.3])
PRIVILEGED = {"hand": HAND, "goal": GOAL}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "actions.npz"
    np.savez(path, e0=np.arange(20, dtype=np.float32).reshape(5, 4), e1=np.ones((2, 4), np.float32))
    return path


@given(seed=st.integers(0, 2**32 - 1), low=st.floats(-5, 0), width=st.floats(0.01, 9), chunk=st.integers(1, 9))
def test_random_stays_inside_the_bounds_and_is_decided_by_the_seed(
    seed: int, low: float, width: float, chunk: int
) -> None:
    info = episode(policy_seed=seed, action_low=low, action_high=low + width)
    first, again = (ask(RandomPolicy(chunk=chunk), info, 3) for _ in range(2))
    for actions, same in zip(first, again, strict=True):
        assert actions.dtype == np.float32
        assert actions.shape == (chunk, 4)
        assert (actions >= np.float32(low)).all()
        assert (actions <= np.float32(low + width)).all()
        assert actions.tobytes() == same.tobytes()


def test_random_answers_the_same_to_every_attempt_and_differently_to_other_seeds_and_stages() -> None:
    policy = RandomPolicy()
    first = ask(policy, episode(), 3)
    assert np.array_equal(first, ask(policy, episode(attempt=2), 3))
    assert np.array_equal(first, ask(policy, episode(), 3, session="other"))
    assert not np.array_equal(first, ask(policy, episode(policy_seed=8), 3))
    assert not np.array_equal(first, ask(policy, episode(stage=1), 3))


def test_random_sessions_do_not_disturb_one_another() -> None:
    policy = RandomPolicy()
    alone = ask(RandomPolicy(), episode(), 2)
    policy.reset("a", episode())
    policy.reset("b", episode("e1", policy_seed=9))
    interleaved = []
    for step in range(2):
        policy.act([observation("b", episode("e1"), step)])
        interleaved.append(policy.act([observation("a", episode(), step)])[0].actions)
    assert np.array_equal(alone, interleaved)


def test_noop_is_zero_or_the_bound_nearest_to_it() -> None:
    (still,) = ask(NoopPolicy(chunk=3), episode())
    assert still.dtype == np.float32
    assert still.shape == (3, 4)
    assert not still.any()
    (bounded,) = ask(NoopPolicy(), episode(action_low=0.5, action_high=1.0))
    assert (bounded == 0.5).all()


def test_a_session_that_was_not_reset_or_is_closed_gets_no_action() -> None:
    policy = RandomPolicy()
    with pytest.raises(LookupError, match="before its first reset"):
        policy.act([observation("s", episode())])
    ask(policy, episode())
    policy.close("s")
    policy.close("s")
    with pytest.raises(LookupError):
        policy.act([observation("s", episode())])


def test_the_expert_is_an_oracle_and_goes_towards_the_goal_inside_the_bounds() -> None:
    policy = ExpertPolicy()
    assert policy.info().kind is PolicyKind.ORACLE
    (actions,) = ask(policy, episode(), privileged=PRIVILEGED)
    assert actions.dtype == np.float32
    assert actions.shape == (1, 4)
    assert (np.sign(actions[0, :3]) == np.sign(GOAL)).all()
    assert np.abs(actions).max() <= 1.0


@pytest.mark.parametrize("name", ["toy_reach", "Toy-Reach", "toy_reach_stages", "TOYREACH"])
def test_the_expert_finds_its_controller_by_the_suite_in_any_spelling(name: str) -> None:
    assert ask(ExpertPolicy(), episode(suite=name), privileged=PRIVILEGED)


def test_the_expert_says_which_suites_have_none_and_that_it_needs_privileged_state() -> None:
    with pytest.raises(UnknownSuite, match=r"toy_reahc.*toy_reach"):
        ExpertPolicy().reset("s", episode(suite="toy_reahc"))
    with pytest.raises(ValueError, match="privileged"):
        ask(ExpertPolicy(), episode())


@pytest.mark.parametrize("task", ["reach_red", "reach_green", "slide_to_red", "reach_in_order", "hold_at_blue"])
def test_the_expert_solves_every_toy_task(task: str) -> None:
    suite = family.suite("toy_reach")
    env = family.make_env(suite, EnvOptions(privileged=True))
    policy = ExpertPolicy()
    for planned in make_plan(suite, tasks=[task]).episodes:
        state = env.start(planned)
        while not state.is_over:
            info = episode(planned.id, stage=state.stage, task=task)
            (actions,) = ask(policy, info, privileged=state.privileged)
            state = env.advance(actions)
        assert state.success


def test_noise_degrades_the_expert_reproducibly_and_stays_inside_the_bounds() -> None:
    clean = ask(ExpertPolicy(), episode(), 20, privileged=PRIVILEGED)
    noisy = ask(ExpertPolicy(noise=0.5), episode(), 20, privileged=PRIVILEGED)
    assert np.array_equal(noisy, ask(ExpertPolicy(noise=0.5), episode(attempt=1), 20, privileged=PRIVILEGED))
    assert not np.array_equal(noisy, ask(ExpertPolicy(noise=0.5), episode(policy_seed=8), 20, privileged=PRIVILEGED))
    assert not np.array_equal(clean, noisy)
    assert np.abs(noisy).max() <= 1.0
    assert 0.2 < np.std(np.asarray(noisy)[:, 0, 3]) < 0.8


def test_the_expert_can_ask_for_pictures_that_it_does_not_need() -> None:
    assert [camera.name for camera in ExpertPolicy(cameras=["front", "wrist"]).info().cameras] == ["front", "wrist"]
    assert ExpertPolicy().info().cameras == ()
    with pytest.raises(UsageError, match=r"a list of names.*'front'"):
        ExpertPolicy(cameras="front")


def test_the_expert_holds_its_one_action_over_a_chunk() -> None:
    (actions,) = ask(ExpertPolicy(chunk=4, noise=0.3), episode(), privileged=PRIVILEGED)
    assert actions.shape == (4, 4)
    assert (actions == actions[0]).all()


def test_another_option_is_another_policy() -> None:
    digests = {
        policy.info().digest
        for policy in (ExpertPolicy(), ExpertPolicy(noise=0.1), ExpertPolicy(chunk=2), RandomPolicy(), NoopPolicy())
    }
    assert len(digests) == 5
    assert ExpertPolicy(noise=1).info().digest == ExpertPolicy(noise=1.0).info().digest


def test_replay_answers_from_the_step_that_is_asked_for(recording: Path) -> None:
    policy = ReplayPolicy(actions=str(recording), chunk=2)
    policy.reset("s", episode("e0"))
    for step, wanted in ((0, [[0, 1, 2, 3], [4, 5, 6, 7]]), (3, [[12, 13, 14, 15], [16, 17, 18, 19]])):
        (chunk,) = policy.act([observation("s", episode("e0"), step)])
        assert chunk.actions.tolist() == wanted
    (last,) = policy.act([observation("s", episode("e0"), 4)])
    assert last.actions.shape == (1, 4)


def test_replay_says_what_it_does_not_have(recording: Path) -> None:
    policy = ReplayPolicy(actions=str(recording))
    with pytest.raises(LookupError, match=r"no actions for episode e7; it has 2 others"):
        policy.reset("s", episode("e7"))
    with pytest.raises(ValueError, match="have 4 entries, suite 'toy_reach' takes 7"):
        policy.reset("s", episode("e0", n_actions=7))
    policy.reset("s", episode("e0"))
    with pytest.raises(LookupError, match="has 5 actions for episode e0, step 5 asks"):
        policy.act([observation("s", episode("e0"), 5)])


def test_replay_is_known_by_the_bytes_of_its_file_and_not_by_its_place(recording: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.npz"
    copy.write_bytes(recording.read_bytes())
    info = ReplayPolicy(actions=str(recording)).info()
    assert info.weights_digest == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert info.digest == ReplayPolicy(actions=str(copy)).info().digest


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_replay_refuses_a_file_that_holds_no_actions(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "actions.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"actions\.npz"):
        ReplayPolicy(actions=str(path))


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.zeros(4, np.float32), np.array([{}], object)])
def test_replay_refuses_arrays_that_are_no_actions(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "actions.npz"
    np.savez(path, e0=array)
    with pytest.raises(UsageError):
        ReplayPolicy(actions=str(path))
    np.save(tmp_path / "one.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(UsageError):
        ReplayPolicy(actions=str(tmp_path / "one.npy"))


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
@pytest.mark.parametrize("policy", [RandomPolicy, NoopPolicy, ExpertPolicy])
def test_a_chunk_is_a_whole_number_of_at_least_one(policy: type, value: object) -> None:
    with pytest.raises(UsageError, match="option chunk is a whole number"):
        policy(chunk=value)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "much", None, True])
def test_noise_is_a_finite_size(value: object) -> None:
    with pytest.raises(UsageError, match="option noise is a finite number"):
        ExpertPolicy(noise=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["random", "noop", "expert", "noisy expert", "replay"])
def test_batched_answers_are_unbatched_ones_bit_for_bit(name: str, tmp_path: Path) -> None:
    infos = [episode(f"e{i}", policy_seed=i) for i in range(6)]
    generator = np.random.default_rng(0)
    recorded = {info.episode: generator.normal(size=(4, 4)).astype(np.float32) for info in infos}
    np.savez(tmp_path / "a.npz", **recorded)

    def build() -> Policy:
        return {
            "random": lambda: RandomPolicy(chunk=3),
            "noop": NoopPolicy,
            "expert": ExpertPolicy,
            "noisy expert": lambda: ExpertPolicy(noise=0.7),
            "replay": lambda: ReplayPolicy(actions=str(tmp_path / "a.npz")),
        }[name]()

    together, largest = ask_through_host(build(), infos, 4, True, PRIVILEGED)
    one_by_one, _ = ask_through_host(build(), infos, 4, False, PRIVILEGED)
    assert largest > 1
    assert together == one_by_one


def test_the_built_in_policies_pass_the_conformance_kit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", e0=np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32))
    question = observation("", episode(), privileged=PRIVILEGED)
    for policy in (
        RandomPolicy(chunk=3),
        NoopPolicy(),
        ExpertPolicy(noise=0.3),
        ReplayPolicy(actions=str(tmp_path / "a.npz")),
    ):
        check_policy(policy, episode=episode(), observation=question)
