"""A run whose tasks go to several servers: real servers on real sockets, and what happens when one of them is gone."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_days.days import FAULTY, Day, run_day
from vla_bench.policies.base import Deadlines
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.results.store import Store
from vla_bench.spec.errors import ConventionMismatch, PolicyChanged, RunMismatch, ServerUnreachable, UsageError
from vla_bench.spec.messages import CameraRequest, CheckpointScope, EpisodeInfo, PolicyInfo

TASKS = {"easy": {"reach_red", "reach_green", "slide_to_red"}, "medium": {"reach_in_order"}, "hard": {"hold_at_blue"}}
"""Route → tasks, where toy_reach is routed by difficulty."""

PATIENT = Deadlines(connect_s=30.0, first_act_s=30.0, act_s=30.0)
"""Nothing here is about time."""


class Seeing(ExpertPolicy):
    """An expert that remembers which tasks it was asked about, with whatever `changes` its handshake shall have."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes, self.tasks, self.cameras = changes, set[str](), set[str]()

    def info(self) -> PolicyInfo:
        return replace(super().info(), **self.changes)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        self.tasks.add(episode.task)
        super().reset(session, episode)

    def act(self, batch: Any) -> Any:
        self.cameras |= {name for row in batch for name in row.images}
        return super().act(batch)


def write(folder: Path, routes: Mapping[str, Any], **more: Any) -> str:
    path = folder / "routed.yaml"
    path.write_text(yaml.safe_dump({"route_by": "difficulty", "name": "routed", "routes": dict(routes), **more}))
    return str(path)


def run(path: str, **changes: Any) -> Day:
    """Every task of toy_reach once."""
    return run_day(
        path, **{"suite": "toy_reach", "tasks": (), "trials": 1, "deadlines": PATIENT, "executor": "inline", **changes}
    )


def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(stack: ExitStack, **policies: Any) -> dict[str, str]:
    return {route: stack.enter_context(BackgroundServer(policy)).url for route, policy in policies.items()}


def test_every_episode_goes_to_the_server_of_its_route(tmp_path: Path) -> None:
    policies = {route: Seeing(weights_digest=route) for route in TASKS}
    with ExitStack() as stack:
        day = run(write(tmp_path, serve(stack, **policies)))
    assert day.summary is not None, day.error
    assert day.summary.is_complete
    assert day.summary.rate == 1.0
    assert {route: policy.tasks for route, policy in policies.items()} == TASKS
    assert (day.summary.policy, day.summary.checkpoint_scope) == ("routed", CheckpointScope.PER_SUITE)
    assert day.summary.routes == ("easy", "hard", "medium")


def test_the_same_command_goes_on_and_another_checkpoint_is_another_policy(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = serve(stack, **{route: Seeing(weights_digest=route) for route in TASKS})
        path = write(tmp_path, urls)
        first, again = run(path), run(path)
        assert again.summary is not None
        assert first.summary is not None
        assert again.summary.policy_digest == first.summary.policy_digest
        assert again.seen.attempts == []
        other = stack.enter_context(BackgroundServer(Seeing(weights_digest="retrained")))
        changed = run(write(tmp_path, {**urls, "hard": other.url}))
    assert isinstance(changed.error, RunMismatch)
    assert "hard.weights_digest" in str(changed.error)


def test_only_the_routes_that_a_plan_needs_are_reached(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = serve(stack, easy=Seeing())
        day = run(write(tmp_path, {**urls, "hard": dead_url()}), tasks=("reach_red", "slide_to_red"))
    assert day.summary is not None, day.error
    assert day.summary.is_complete
    assert day.summary.routes == ("easy",)


def test_suites_are_routed_by_their_names(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, other = Seeing(), Seeing(weights_digest="other")
        path = write(tmp_path, serve(stack, toy_reach=one, toy_reach_faults=other), route_by="suite")
        days = [run(path, tasks=("reach_red",), suite=suite, name=suite) for suite in ("toy_reach", "toy_reach_faults")]
    assert [day.summary is not None and day.summary.is_complete for day in days] == [True, True]
    assert one.tasks == other.tasks == {"reach_red"}


def test_a_task_without_a_route_is_found_before_anything_is_reached(tmp_path: Path) -> None:
    day = run(write(tmp_path, {"easy": dead_url(), "hard": dead_url()}))
    assert isinstance(day.error, UsageError)
    assert "no route for 'medium'" in str(day.error)


def test_a_route_that_is_not_there_is_named_and_nothing_is_run(tmp_path: Path) -> None:
    # The child server of the first route is stopped again: the fixture looks for it.
    day = run(write(tmp_path, {"easy": "expert", "medium": "expert", "hard": dead_url()}))
    assert isinstance(day.error, ServerUnreachable)
    assert "route 'hard': " in str(day.error)
    assert "\n" not in str(day.error)
    with Store.open() as store:
        assert store.summaries() == []


def test_each_route_is_bound_by_itself(tmp_path: Path) -> None:
    """One sees pictures of the front, one of the wrist and in another size, one nothing."""
    policies = {
        "easy": Seeing(cameras=(CameraRequest(name="front"),)),
        "medium": Seeing(cameras=(CameraRequest(name="wrist", height=16, width=16),)),
        "hard": Seeing(),
    }
    with ExitStack() as stack:
        day = run(write(tmp_path, serve(stack, **policies), settings={"resize": "stretch"}))
    assert day.summary is not None, day.error
    assert day.summary.rate == 1.0
    assert [policy.cameras for policy in policies.values()] == [{"front"}, {"wrist"}, set()]


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"history": (-2,)}, {}, r"routes 'easy' and 'medium' look back differently"),
        ({"chunk_length": 4}, {}, r"chunks of 1 and 4 actions: choose how many .* `replan_horizon`"),
        ({"chunk_length": 4}, {"replan_horizon": 1}, ""),
        ({"state": {"elbow": 7}}, {}, r"route 'medium': .*state 'elbow' does not exist"),
    ],
)
def test_routes_that_cannot_be_one_run_are_refused(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    tasks = ("reach_red", "reach_in_order")
    with ExitStack() as stack:
        urls = serve(stack, easy=Seeing(), medium=Seeing(**changes))
        day = run(write(tmp_path, urls, settings=settings), tasks=tasks)
    if not words:
        assert day.summary is not None, day.error
        assert day.summary.is_complete
        return
    assert isinstance(day.error, ConventionMismatch)
    assert re.search(words, " ".join(str(day.error).split()))


def test_an_oracle_and_a_policy_are_no_one_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = serve(stack, easy=Seeing(), medium=NoopPolicy())
        day = run(write(tmp_path, urls), tasks=("reach_red", "reach_in_order"))
    assert isinstance(day.error, ConventionMismatch)


def test_a_server_of_ours_that_dies_is_started_anew_and_the_others_are_left_alone(tmp_path: Path) -> None:
    fault = {"fault": "exit", "step": 3, "once": str(tmp_path / "struck"), "base": "expert"}
    easy = Seeing()
    with ExitStack() as stack:
        urls = serve(stack, easy=easy)
        routes = {**urls, "medium": {"policy": FAULTY, "options": fault}, "hard": "expert"}
        day = run(write(tmp_path, routes), workers=1)
    assert day.summary is not None, day.error
    assert day.summary.is_complete
    assert [wait.route for wait in day.seen.waits] == ["medium"]
    assert day.seen.waits[0].is_restarting
    assert {episode.task for episode, attempt in day.seen.attempts if not attempt.outcome.is_judged} == {
        "reach_in_order"
    }


def test_a_server_of_others_that_goes_away_stops_the_run_which_goes_on_later(tmp_path: Path) -> None:
    stack = ExitStack()
    urls = serve(stack, easy=Seeing(weights_digest="e"), hard=Seeing(weights_digest="h"))

    class Leaving(Seeing):
        """Is gone with its first question, for good."""

        def act(self, batch: Any) -> Any:
            medium.host._is_stopped = True
            raise RuntimeError("leaving")

    medium = stack.enter_context(BackgroundServer(Leaving(weights_digest="m")))
    with stack:
        day = run(write(tmp_path, {**urls, "medium": medium.url}), workers=1, server_wait_s=0.3)
        assert day.summary is not None, day.error
        assert not day.summary.is_complete
        assert "route 'medium'" in str(day.seen.stopped)
        back = stack.enter_context(BackgroundServer(Seeing(weights_digest="m")))
        again = run(write(tmp_path, {**urls, "medium": back.url}), workers=1)
    assert again.summary is not None, again.error
    assert again.summary.is_complete
    judged_before = {episode.id for episode, attempt in day.seen.attempts if attempt.outcome.is_judged}
    assert not judged_before & {episode.id for episode, _ in again.seen.attempts}


def test_another_policy_behind_a_route_stops_the_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = serve(stack, easy=Seeing(), medium=Seeing(weights_digest="m"), hard=Seeing())

        class Swapped(Seeing):
            """Answers its first question, and has then been replaced by another checkpoint."""

            def reset(self, session: str, episode: EpisodeInfo) -> None:
                super().reset(session, episode)
                object.__setattr__(server.host, "digest", "another")

        server = stack.enter_context(BackgroundServer(Swapped(weights_digest="easy")))
        day = run(write(tmp_path, {**urls, "easy": server.url}), workers=1)
    assert isinstance(day.seen.stopped, PolicyChanged)
    assert "route 'easy'" in str(day.seen.stopped)


def test_one_checkpoint_on_two_servers_is_the_policy_that_it_is(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = serve(stack, easy=Seeing(), medium=Seeing())
        path = tmp_path / "two.yaml"
        path.write_text(yaml.safe_dump({"route_by": "difficulty", "routes": urls}))
        day = run(str(path), tasks=("reach_red", "reach_in_order"))
        alone = run(urls["easy"], tasks=("reach_red",), name="alone")
    assert day.summary is not None
    assert alone.summary is not None
    assert day.summary.policy_digest == alone.summary.policy_digest
    assert (day.summary.checkpoint_scope, day.summary.routes) == (CheckpointScope.ONE, ())
