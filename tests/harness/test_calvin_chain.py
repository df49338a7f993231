"""One chain of CALVIN under the episode loop: what a policy is told and shown at each subtask, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.calvin import golden, link_assets
from tests.harness.scenes import Asked, Played, episode_of, play
from vla_bench.envs import find_suite
from vla_bench.envs.calvin.symbols import initial_states
from vla_bench.spec.errors import ActionError
from vla_bench.spec.messages import CameraRequest, Observation, PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.settings import EvalSettings

pytestmark = [pytest.mark.sim, pytest.mark.bullet]

SUBTASKS = ("open_drawer", "lift_red_block_table", "place_in_drawer", "turn_on_led", "move_slider_left")
TOLD = (
    "pull the handle to open the drawer",
    "grasp and lift the red block",
    "store the grasped block in the drawer",
    "press the button to turn on the led light",
    "push the sliding door to the left side",
)
SUITE = find_suite("calvin_abc_d")
POLICY = PolicyInfo(name="scripted", cameras=(CameraRequest(name="front"), CameraRequest(name="wrist")), chunk_length=8)


@pytest.fixture(autouse=True)
def assets(home: Path, shared: Path) -> Path:
    return link_assets(home, shared)


def run(answer: Callable[[Observation], Any], subtasks: tuple[str, ...], n_steps: int = 360, **changes: Any) -> Played:
    """A chain of our own, with a limit of its own, and what a policy that answers so did in it."""
    settings = EvalSettings(**changes.pop("settings", {}))
    task = replace(SUITE.tasks[0], stages=TOLD[: len(subtasks)], instruction=TOLD[0], horizon=n_steps * len(subtasks))
    suite = replace(SUITE, tasks=(task,))
    episode = replace(
        episode_of(task.id, suite=suite), params={"subtasks": list(subtasks)}, initial_state=dict(initial_states()[1])
    )
    return play(episode, Asked(answer, replace(POLICY, **changes)), settings=settings, suite=suite)


def test_at_each_subtask_the_policy_begins_anew_and_the_desk_stays(shared: Path) -> None:
    actions = golden(shared, "scripted_chain_five_in_a_row")["actions"].astype(np.float32)
    asked: list[Observation] = []

    def answer(seen: Observation) -> Any:
        asked.append(seen)
        return actions[seen.identity.step :][:8]

    played = run(answer, SUBTASKS, history=(-3,), wants_depth=True)
    stages = played.result.stages
    assert played.result.outcome is Outcome.SUCCESS
    # Rows: each subtask's success, steps and state at its start.
    assert [(stage.index, stage.success) for stage in stages] == [(index, True) for index in range(5)]
    assert sum(stage.n_steps for stage in stages) == played.result.n_steps < len(actions)
    starts = np.cumsum([0, *(stage.n_steps for stage in stages)])[:-1].tolist()
    by_step = {state.step: state.digest for state in played.states}
    assert [stage.start_digest for stage in stages] == [by_step[step] for step in starts]
    # The rest of the chunk is dropped: the policy is asked again at the very step, with the new instruction.
    firsts = {seen.identity.stage: seen for seen in reversed(asked)}
    assert [firsts[stage].identity.step for stage in range(5)] == starts
    assert [firsts[stage].instruction for stage in range(5)] == list(TOLD)
    assert any(start % 8 for start in starts)
    # Nothing of the last subtask is in the history; within a subtask it is.
    for seen in asked:
        is_first = seen.identity.step == starts[seen.identity.stage]
        assert np.array_equal(seen.history[-3]["wrist"], seen.images["wrist"]) is is_first
    # Pictures as rendered, and depth in metres.
    assert {name: image.shape for name, image in asked[0].images.items()} == {
        "front": (200, 200, 3), "wrist": (84, 84, 3),
    }  # fmt: skip
    for seen, state in zip(asked, played.states, strict=False):
        assert np.array_equal(seen.images["front"], state.images["front"])
        assert seen.depth["wrist"].dtype == np.float32
    assert played.result.trace is not None
    assert np.array_equal(played.result.trace.actions, actions[: played.result.n_steps])


@pytest.mark.parametrize("clips", [False, True])
def test_actions_are_stored_as_they_came_and_clipped_where_the_preset_says_so(clips: bool) -> None:
    """Pose values beyond 1 and the gripper's own number, though only its sign counts."""
    said = np.tile(np.float64([1.75, 0, 0.1, 0, 0, 0, 0.3]), (8, 1))
    played = run(lambda seen: said, ("turn_on_led",), n_steps=24, cameras=(), settings={"clip_actions": clips})
    assert played.result.trace is not None
    stored = played.result.trace.actions
    assert stored.dtype == np.float32
    assert np.array_equal(stored, np.tile(np.float32([1.0 if clips else 1.75, 0, 0.1, 0, 0, 0, 0.3]), (24, 1)))
    assert played.result.n_clipped == (24 if clips else 0)
    last = played.states[-1].privileged
    assert last["gripper_action"] == [1]
    moved = last["target_position"] - played.states[0].privileged["target_position"]
    assert moved[0] == pytest.approx(24 * 0.02 * (1.0 if clips else 1.75), abs=1e-5)


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (np.zeros((2, 7), np.int64), "the policy's actions are int64, not float32"),
        (np.zeros((2, 8), np.float32), "actions are float32 [k, 7], got shape [2, 8]"),
        (np.full((2, 7), np.nan, np.float32), "action 0 of the chunk is not finite: entry 0 is nan"),
    ],
)
def test_what_is_no_action_loses_the_chain_in_one_line_and_never_reaches_the_desk(actions: Any, said: str) -> None:
    played = run(lambda seen: actions, ("turn_on_led",), cameras=())
    assert isinstance(played.error, ActionError)
    assert (played.result.outcome, played.result.error_message) == (Outcome.POLICY_ERROR, said)
    assert len(played.states) == 1
