"""What CALVIN's suites say of themselves: chains, starts, protocols, sentences. No simulator."""

from __future__ import annotations

import hashlib
import json
import lzma
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.calvin import unpack_once
from vla_bench.envs.calvin import chains, family, starts, symbols
from vla_bench.envs.calvin.assets import faults_of
from vla_bench.envs.calvin.rules import RENDERERS
from vla_bench.envs.calvin.scenes import read_table
from vla_bench.envs.calvin.sentences import enriched_sentences, sentence
from vla_bench.envs.calvin.singles import single_starts
from vla_bench.envs.registry import find_suite
from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import UnknownProtocol, UnknownSuite

TASKS = tuple(read_table("tasks.toml"))


def shipped(shared: Path, name: str) -> bytes:
    return lzma.decompress((shared / f"assets/calvin/{name}.json.xz").read_bytes())


def test_the_thousand_chains_are_upstreams_in_order(shared: Path) -> None:
    assert chains.digest_of(chains.chains()) == chains.DIGEST
    theirs = shipped(shared, "sequences")
    assert hashlib.sha256(theirs).hexdigest() == chains.DIGEST
    ours = [{"initial_state": dict(chain.state), "tasks": list(chain.tasks)} for chain in chains.chains()]
    assert ours == json.loads(theirs)


@pytest.mark.slow
@pytest.mark.timeout(900)  # seven million draws, on a machine that may be busy
def test_generating_the_chains_anew_gives_the_same_ones() -> None:
    assert chains.digest_of(chains.generate_chains()) == chains.DIGEST


def test_assets_for_tests_are_unpacked_once_and_a_killed_unpacking_leaves_nothing(shared: Path, tmp_path: Path) -> None:
    archive = shared / "assets/calvin/calvin_assets.tar.xz"
    killed = (
        "import os, signal\nfrom pathlib import Path\nfrom tests.calvin import unpack_once\n"
        "Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"unpack_once(Path({str(archive)!r}), Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "partial").is_dir()
    place = unpack_once(archive, tmp_path)
    before = place.stat().st_ino
    assert unpack_once(archive, tmp_path).stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [place.name]
    (place / "data/plane/plane.obj").write_text("damaged")
    assert unpack_once(archive, tmp_path) == place
    assert faults_of(place) == []


def test_what_is_known_of_the_chains() -> None:
    tasks = [chain.tasks for chain in chains.chains()]
    assert len(set(tasks)) == 997
    counts = Counter(task for chain in tasks for task in chain)
    assert (counts["place_in_slider"], counts["open_drawer"], counts["turn_off_led"]) == (398, 379, 185)
    assert sum(chain[0] == "turn_off_led" for chain in tasks) == 54
    assert all(len({symbols.category(task) for task in chain}) == 5 for chain in tasks)


def test_every_initial_state_has_upstreams_seed_and_start(shared: Path) -> None:
    theirs = json.loads(shipped(shared, "initial_states"))
    assert tuple(theirs["robot_obs"]) == starts.ROBOT_START
    assert len(theirs["states"]) == len(symbols.initial_states()) == 192
    known = {canonical_json(state) for state in symbols.initial_states()}
    for entry in theirs["states"]:
        state = entry["state"]
        assert canonical_json(state) in known
        assert starts.seed_of(state) == entry["seed"]
        assert starts.scene_start(state).tolist() == entry["scene_obs"]


def test_the_seed_does_not_depend_on_the_order_in_which_a_plan_was_stored() -> None:
    state = symbols.initial_states()[7]
    assert starts.seed_of(dict(sorted(state.items()))) == starts.seed_of(state)


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        ("hello world", 3799943344),
        ("dict_values([1, 1, 'left', 'open', 'slider_left', 'table', 'slider_right', 0])", 2138410836),
    ],
)
def test_the_hash_is_fnv_over_utf_16_from_zero(text: str, seed: int) -> None:
    assert starts.hash_text(text) == seed


def test_suites_are_chains_and_single_subtasks() -> None:
    names = family.suite_names()
    assert names[:4] == ["calvin_abc_d", "calvin_abc_d_100", "calvin_d_d", "calvin_abcd_d"]
    assert names[4:] == [f"calvin_{task}" for task in TASKS]
    assert [len(make_plan(find_suite(name))) for name in names[:5]] == [1000, 100, 1000, 1000, 20]


def test_a_chain_is_a_task_with_five_stages() -> None:
    suite = find_suite("CALVIN-ABC-D")
    task = suite.tasks[0]
    assert task.stages[1] == "push the sliding door to the right side"
    assert task.params["subtasks"][:2] == ["rotate_blue_block_right", "move_slider_right"]
    assert (task.n_stages, task.horizon) == (5, 1800)
    assert [(camera.height, camera.width) for camera in suite.cameras] == [(200, 200), (84, 84)]
    assert suite.action.n_entries == 7
    assert suite.protocol.action_bounds == "none"
    assert find_suite("calvin_abc_d_100").tasks == suite.tasks[:100]


def test_suites_of_other_training_data_have_the_same_chains_and_other_plans() -> None:
    one, other = find_suite("calvin_abc_d"), find_suite("calvin_d_d")
    assert one.tasks == other.tasks
    assert make_plan(one).plan_hash != make_plan(other).plan_hash
    assert one.provenance["training"] == "scenes ABC"


def test_every_renderer_is_a_protocol_of_its_own() -> None:
    names = family.protocol_names("calvin_abc_d")
    assert names[:3] == [f"standard-{renderer}/1" for renderer in RENDERERS]
    assert len(names) == 18
    plans = {make_plan(find_suite("calvin_abc_d_100", name)).plan_hash for name in names}
    assert len(plans) == len(names)
    assert {find_suite("calvin_abc_d", name).protocol.parameters["renderer"] for name in names[:3]} == set(RENDERERS)


@pytest.mark.parametrize(
    ("typed", "protocol"),
    [
        ("", "standard-tiny/1"),
        ("standard", "standard-tiny/1"),
        ("standard-egl-gpu", "standard-egl-gpu/1"),
        ("Button-Reset-Pinned", "button_reset_pinned-tiny/1"),
        ("ep_len_1200-egl-llvmpipe/1", "ep_len_1200-egl-llvmpipe/1"),
    ],
)
def test_protocols_are_found_by_short_names(typed: str, protocol: str) -> None:
    assert find_suite("calvin_abc_d", typed).protocol.id == protocol


def test_unknown_names_have_near_ones() -> None:
    with pytest.raises(UnknownSuite, match="calvin_open_drawer"):
        family.suite("calvin_open_drawr")
    with pytest.raises(UnknownProtocol, match="single-tiny/1"):
        family.suite("calvin_open_drawer", "singel-tiny/1")


def test_each_variant_says_what_it_changes() -> None:
    standard = find_suite("calvin_abc_d").protocol.parameters
    changed = {}
    for name in family.protocol_names("calvin_abc_d")[3::3]:
        protocol = find_suite("calvin_abc_d", name).protocol
        rules = {key: value for key, value in protocol.parameters.items() if standard.get(key) != value}
        changed[protocol.name.removesuffix("-tiny")] = rules
    assert changed == {
        "button_reset_pinned": {"button_reset": "pinned"},
        "shared_env": {"between_chains": "shared", "held_steps": 30},
        "enriched_language": {"instructions": "enriched"},
        "ep_len_1200": {"subtask_steps": 1200},
        "absolute_actions": {"actions": "absolute"},
    }
    assert find_suite("calvin_abc_d", "ep_len_1200").tasks[0].horizon == 6000
    assert find_suite("calvin_abc_d", "absolute_actions").action.reference == "absolute"


def test_a_shared_world_begins_with_the_chain_before() -> None:
    tasks = find_suite("calvin_abc_d", "shared_env").tasks
    assert "before" not in tasks[0].params
    assert tasks[1].params["before"] == dict(tasks[0].initial_states[0])


def test_sentences_are_the_evaluations_and_enriched_ones_are_fixed_per_chain() -> None:
    assert len({sentence(task) for task in TASKS}) == 34
    assert sentence("lift_red_block_drawer") == "Take the red block from the drawer"
    said = enriched_sentences()
    assert len(said) == 1000
    assert said[0][:2] == ("pivot the cobalt unit to your right", "Guide the sliding door to move on the right")
    assert find_suite("calvin_abc_d", "enriched_language").tasks[0].stages == said[0]
    digest = hashlib.sha256("\n".join(text for chain in said for text in chain).encode()).hexdigest()
    assert digest.startswith("6adc1743c17dc783")


@pytest.mark.parametrize("task", TASKS)
def test_single_subtasks_start_where_they_can_be_done(task: str) -> None:
    found = single_starts(task, 20)
    assert len({canonical_json(state) for state in found}) == 20
    assert all(symbols.follow(state, [task]) is not None for state in found)
    # Stored with sorted keys, a start is the same.
    plan = make_plan(find_suite(f"calvin_{task}"))
    stored = Episode(**json.loads(canonical_json(plan.episodes[3])))
    assert starts.scene_start(stored.initial_state).tolist() == starts.scene_start(found[3]).tolist()
