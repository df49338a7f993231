"""Commands that describe: `suites`, `policies`, `plan`, `doctor`, `env list`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.cli.conftest import Run
from vla_bench.cli import schemas
from vla_bench.cli.policy_schemas import LookModel, PoliciesModel
from vla_bench.cli.schemas import (
    DoctorModel,
    EnvListModel,
    PlanModel,
    SuitesModel,
    json_schemas,
)
from vla_bench.envs.registry import find_suite
from vla_bench.spec.episode import Shard, make_plan

PLAN = ("plan", "--suite", "toy_reach", "--trials", "2")


@pytest.mark.parametrize(
    ("args", "model"),
    [
        (("suites",), SuitesModel),
        (("suites", "toy_reach"), SuitesModel),
        (("policies",), PoliciesModel),
        (("policies", "noop"), LookModel),
        (PLAN, PlanModel),
        (("doctor",), DoctorModel),
        (("env", "list"), EnvListModel),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_json_keeps_to_its_schema(quick: Run, args: tuple[str, ...], model: type[BaseModel]) -> None:
    done = quick(*args, "--json")
    model.model_validate_json(done.stdout, strict=True)


def test_every_field_and_command_has_a_schema_with_a_description() -> None:
    exported = json_schemas()
    commands = {
        "assets list",
        "compare",
        "gate",
        "gate --plan",
        "group define",
        "group list",
        "group show",
        "leaderboard account list",
        "leaderboard challenge list",
        "leaderboard attest",
        "leaderboard fetch",
        "leaderboard token list",
        "submit",
        "doctor",
        "env list",
        "pictures",
        "plan",
        "policies",
        "policies POLICY",
        "run",
        "run --dry-run",
        "runs",
        "show",
        "suites",
        "verify",
        "verify --against-calvin-env",
        "video",
        "report",
        "diff",
    }
    assert set(exported) == commands
    for name in schemas.__all__:
        model = getattr(schemas, name)
        if isinstance(model, type) and issubclass(model, BaseModel):
            assert model.__doc__, name
    assert all(schema["description"] for schema in exported.values())


def test_the_plan_as_json_is_the_plan(quick: Run) -> None:
    told = json.loads(quick(*PLAN, "--seed", "3", "--json").stdout)
    plan = make_plan(find_suite("toy_reach"), n_trials=2, policy_seed=3)
    assert told["plan_hash"] == plan.plan_hash
    assert [episode["id"] for episode in told["episodes"]] == [episode.id for episode in plan.episodes]


def test_a_shard_of_the_plan_keeps_the_hash_of_the_whole(quick: Run) -> None:
    plan = make_plan(find_suite("toy_reach"), n_trials=2)
    told = json.loads(quick(*PLAN, "--shard", "2/3", "--json").stdout)
    assert told["plan_hash"] == plan.plan_hash
    assert [episode["id"] for episode in told["episodes"]] == [episode.id for episode in Shard(2, 3).of(plan)]


def test_names_are_matched_in_any_spelling(quick: Run) -> None:
    assert quick("plan", "--suite", "Toy-Reach", "--trials", "2").stdout == quick(*PLAN).stdout


def test_suites_lists_what_can_be_run_and_one_suite_with_its_tasks(quick: Run) -> None:
    page = quick("suites").stdout
    assert "toy_reach" in page
    assert "metaworld_mt10" in page
    assert "metaworld_reach " not in page
    assert "metaworld_reach " in quick("suites", "--all").stdout
    assert "reach_in_order" in quick("suites", "toy_reach").stdout


def test_policies_lists_options_with_their_defaults(quick: Run) -> None:
    told = json.loads(quick("policies", "--json").stdout)["policies"]
    expert = next(policy for policy in told if policy["name"] == "expert")
    assert {"name": "noise", "default": 0.0, "is_required": False} in expert["options"]
    assert {policy["name"] for policy in told} >= {"expert", "noop", "random", "replay"}


def test_doctor_says_what_runs_here(quick: Run, home: Path) -> None:
    done = quick("doctor")
    assert done.returncode == 0, done.stdout
    assert "toy_reach" in done.stdout
    assert "results.db" in done.stdout


def test_doctor_s_self_test_scores_one_hundred_percent_and_leaves_the_user_s_results_alone(
    quick: Run, home: Path
) -> None:
    done = quick("doctor", "--self-test", "--json")
    assert done.returncode == 0, done.stderr
    told = DoctorModel.model_validate_json(done.stdout)
    (check,) = (check for check in told.checks if check.group == "self-test")
    assert check.status == "ok"
    assert check.detail.startswith("100 %")
    assert not list(home.rglob("*.db"))


def test_doctor_finds_a_blocker_where_results_cannot_go(quick: Run, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    done = quick("doctor", "--db", str(in_the_way / "results.db"))
    assert done.returncode == 1
    assert "not ready" in done.stdout
