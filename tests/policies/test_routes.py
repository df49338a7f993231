"""Policies with a server per suite: what a file may say, which route a task takes, what the routes are together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vla_bench.envs.registry import find_suite
from vla_bench.policies.resolve import ResolvedPolicy, RoutedPolicy, resolve_one, resolve_policy
from vla_bench.policies.routes import joined_info, routes_of
from vla_bench.spec.errors import ConventionMismatch, UsageError
from vla_bench.spec.messages import CheckpointScope, PolicyInfo, PolicyKind

TOY = find_suite("toy_reach")
A = PolicyInfo(name="sf", version="1", weights_digest="aa", chunk_length=8, batch_limit=4, state={"hand": 3})
B = replace(A, weights_digest="bb")


def write(folder: Path, text: str) -> str:
    path = folder / "sf.yaml"
    path.write_text(text)
    return str(path)


def test_a_route_is_a_url_a_name_a_class_or_a_map(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        name: spatial forcing
        route_by: base_suite
        token_env: LAB
        settings: {replan_horizon: 8}
        routes:
          libero_spatial: http://gpu:8600
          libero_object: {url: "grpc://gpu:8601", token_env: OTHER}
          libero_goal: Expert
          libero_10: {policy: my_policy.py:Mine, options: {size: 2}}
        """,
    )
    (tmp_path / "my_policy.py").write_text("")
    found = resolve_policy(path)
    assert found == RoutedPolicy(
        name="spatial forcing",
        label="spatial forcing",
        route_by="base_suite",
        settings={"replan_horizon": 8},
        routes={
            "libero_spatial": ResolvedPolicy(name="gpu", url="http://gpu:8600", token_env="LAB"),
            "libero_object": ResolvedPolicy(name="gpu", url="grpc://gpu:8601", token_env="OTHER"),
            "libero_goal": ResolvedPolicy(name="expert", target="expert"),
            "libero_10": ResolvedPolicy(
                name="Mine", target=f"{tmp_path / 'my_policy.py'}:Mine", options={"size": 2}
            ),
        },
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"sf\.yaml has routes .*serve the policy of each"):
        resolve_one(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("routes: {}", "routes is a map of suites"),
        ("routes: [http://h:1]", "routes is a map of names"),
        ("routes: {a: 3}", "route 'a' is a URL, a name, a class, or a map of policy, url, options, token_env"),
        ("routes: {a: {settings: {}}}", "route 'a' is a URL"),
        ("routes: {a: {options: {}}}", "give one of the keys policy and url"),
        ("routes: {a: exprt}", "unknown policy 'exprt'. Did you mean 'expert'"),
        ("routes: {a: http://h:1}\npolicy: expert", "policy belongs to a route"),
        ("routes: {a: http://h:1}\nroute_by: [x]", "route_by is a text"),
        ("policy: expert\nroute_by: suite", "there are none"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_policy(write(tmp_path, text))


def test_options_of_the_command_belong_to_no_route(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"options \(noise\) belong to the routes"):
        resolve_policy(write(tmp_path, "routes: {a: expert}"), {"noise": 1})


def test_a_task_goes_by_its_tag_and_without_one_by_its_suite() -> None:
    tasks = [task.id for task in TOY.tasks]
    assert set(routes_of(TOY, tasks, ["Toy-Reach", "other"], "suite").values()) == {"Toy-Reach"}
    by_difficulty = routes_of(TOY, tasks, ["easy", "medium", "hard"], "difficulty")
    assert by_difficulty == {task.id: task.tags["difficulty"] for task in TOY.tasks}


def test_all_tasks_without_a_route_are_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"no route for 'hard', 'medium' .*the policy's file has: easy"):
        routes_of(TOY, [task.id for task in TOY.tasks], ["easy"], "difficulty")


def test_the_digest_covers_every_route() -> None:
    both = joined_info("", {"x": A, "y": B}, 2)
    assert (both.name, both.version, both.checkpoint_scope) == ("sf", "1", CheckpointScope.PER_SUITE)
    assert both.state == A.state
    assert list(both.options["routes"]) == ["x", "y"]
    others = [
        joined_info("", {"x": B, "y": A}, 2),
        joined_info("", {"x": A, "y": replace(B, options={"noise": 1})}, 2),
        joined_info("", {"x": A}, 2),
        joined_info("named", {"x": A, "y": B}, 2),
    ]
    assert len({info.digest for info in (both, *others)}) == 5
    assert joined_info("", {"y": B, "x": A}, 2).digest == both.digest


def test_one_checkpoint_on_several_servers_is_one_policy() -> None:
    assert joined_info("", {"x": A, "y": A}, 2) == A
    # Of a third one nothing is known.
    assert joined_info("", {"x": A, "y": A}, 3).checkpoint_scope is CheckpointScope.PER_SUITE


def test_what_is_no_one_policy_is_refused() -> None:
    with pytest.raises(UsageError, match=r"several names \(sf, other\): give the file a name"):
        joined_info("", {"x": A, "y": replace(B, name="other")}, 2)
    assert joined_info("mine", {"x": A, "y": replace(B, name="other")}, 2).name == "mine"
    with pytest.raises(ConventionMismatch, match=r"an oracle and other policies.*x policy, y oracle"):
        joined_info("", {"x": A, "y": replace(B, kind=PolicyKind.ORACLE)}, 2)
