"""Which board a run belongs to."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.results import samples
from tests.server.boards.making import GPU, chains, enter, store_run
from vla_bench.results.store import Store
from vla_bench.server.boards.place import board_slug, family_key, registered_plan, renderer_class
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo, PolicyKind

SOFTWARE = replace(samples.MACHINE, renderer={"name": "egl-software", "renderer": "llvmpipe (LLVM 15)"})


@pytest.mark.parametrize(
    ("renderers", "expected"),
    [
        ([{"name": "egl-gpu", "renderer": "NVIDIA H200"}], "gpu"),
        ([{"name": "cgl"}], "gpu"),
        ([{"name": "egl-gpu", "renderer": "llvmpipe (LLVM 15)"}], "software"),
        ([{"name": "osmesa"}], "software"),
        ([{"name": "egl-llvmpipe"}], "software"),
        ([{"name": "tiny"}], "tiny"),
        ([{}], "none"),
        ([], "none"),
        ([{"name": "egl-gpu"}, {"name": "cgl"}], "gpu"),
        ([{"name": "egl-gpu"}, {"name": "osmesa"}], "mixed"),
        ([{"name": "egl-gpu"}, {}], "mixed"),
    ],
)
def test_pictures_of_one_kind_stand_together(renderers: list[dict[str, str]], expected: str) -> None:
    assert renderer_class({"renderer": renderer} for renderer in renderers) == expected


def test_an_address_has_four_plain_parts() -> None:
    assert board_slug("libero_goal", "openpi/1", "gpu", "original") == "libero_goal/openpi-1/gpu/original"
    assert board_slug("a/b c?", "", "gpu", "original") == "a-b-c-/-/gpu/original"


@pytest.mark.parametrize(
    ("name", "key"), [("LaMP", "lamp"), ("OpenVLA-OFT", "openvla_oft"), ("π0.5", "0_5"), ("<b>", "b"), ("!", "unnamed")]
)
def test_spelling_makes_no_family(name: str, key: str) -> None:
    assert family_key(name) == key


def test_a_registered_suite_has_a_plan_of_its_own_and_a_strange_one_has_none() -> None:
    assert len(registered_plan("toy_reach", "standard/1")) == 64
    assert registered_plan("toy_reach", "standard/99") == ""
    assert registered_plan("nobody_knows", "standard/1") == ""


def changed(of: Any, **changes: Any) -> dict[str, Any]:
    return {"of": replace(of, **changes)}


UNRANKED: dict[str, tuple[dict[str, Any], str]] = {
    "an oracle": ({"policy": PolicyInfo(name="x", kind=PolicyKind.ORACLE)}, "an oracle"),
    "an import": ({"origin": {"tool": "lerobot"}}, "imported from lerobot"),
    "stand-in assets": (changed(samples.suite(3, 10), standin="grey boxes"), "stand-in assets: grey boxes"),
}


@pytest.mark.parametrize("kind", UNRANKED)
def test_what_is_no_policys_own_result_is_shown_and_not_ranked(file_store: Store, kind: str) -> None:
    options, reason = UNRANKED[kind]
    store_run(file_store, "r", [True] * 30, **options)
    entry = enter(file_store, "r")
    assert entry.state == "listed"
    assert entry.unranked.startswith(reason)
    assert entry.slug.endswith("stand-in" if "standin" in reason or "stand-in" in kind else "original")


def test_a_part_of_the_plan_is_not_ranked(file_store: Store) -> None:
    suite = samples.suite(3, 10)
    plan = make_plan(suite)
    of_task = tuple(episode for episode in plan.episodes if episode.task == "t0")
    store_run(file_store, "tasks", [True] * 10, of=suite, plan=replace(plan, episodes=of_task))
    assert enter(file_store, "tasks").unranked == "its plan has 1 of the suite's 3 tasks"
    store_run(file_store, "trials", [True] * 29, of=suite, plan=replace(plan, episodes=plan.episodes[1:]))
    assert enter(file_store, "trials").unranked == "its plan has not exactly the protocol's 10 trials of every task"


def test_other_seeds_are_another_plan(file_store: Store) -> None:
    suite = samples.suite(3, 10)
    store_run(file_store, "first", [True] * 30, of=suite)
    assert enter(file_store, "first").unranked == ""
    store_run(file_store, "second", [True] * 30, of=suite, plan=make_plan(suite, policy_seed=9))
    assert "other seeds" in enter(file_store, "second").unranked


def test_renderers_and_forms_part_boards(file_store: Store) -> None:
    slugs = []
    for name, machine in (("gpu", GPU), ("software", SOFTWARE), ("none", samples.MACHINE)):
        store_run(file_store, name, [True] * 30, machine=machine)
        slugs.append(enter(file_store, name).slug)
    store_run(file_store, "chain", [5] * 60, of=chains())
    slugs.append(enter(file_store, "chain").slug)
    assert [slug.split("/")[2] for slug in slugs] == ["gpu", "software", "none", "gpu"]
    assert len(set(slugs)) == 4
    assert asdict(GPU)["renderer"]["name"] == "egl-gpu"
