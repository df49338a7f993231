"""Render back ends: which is tried, what is believed, what is remembered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.envs.runtime import rendering
from vla_bench.envs.runtime.probes import choice
from vla_bench.envs.runtime.probes.choice import EglDevice, choose_devices
from vla_bench.envs.runtime.rendering import APT_LINE, choose_renderer, probe_renderers
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import NoRenderer, UsageError

GOOD = {"n_colours": 99, "is_black": False, "vendor": "V", "renderer": "llvmpipe", "version": "4.5"}


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "CUDA_VISIBLE_DEVICES", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rendering, "_chosen", {})


class FakePython:
    """A program in place of the suite's interpreter; it notes each call and answers by back end."""

    def __init__(self, folder: Path) -> None:
        self.path, self._log = folder / "python", folder / "calls"

    def answers(self, **by_backend: str) -> None:
        cases = "\n".join(f"{backend}) {command} ;;" for backend, command in by_backend.items())
        self.path.write_text(f'#!/bin/sh\necho "$MUJOCO_GL" >> {self._log}\ncase "$MUJOCO_GL" in\n{cases}\nesac\n')
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().split() if self._log.exists() else []


def says(**changes: object) -> str:
    return f"echo '{json.dumps({**GOOD, **changes})}'"


FAILS = "echo 'ImportError: no such library' >&2; exit 1"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePython:
    python = FakePython(tmp_path)
    monkeypatch.setattr(rendering, "interpreter_with", lambda kind: python.path)
    monkeypatch.setattr(rendering, "_list_devices", lambda environment: [EglDevice(index=0, is_software=True)])
    monkeypatch.setattr(rendering.sys, "platform", "linux")
    return python


def test_the_first_back_end_that_works_is_taken(fake: FakePython):
    fake.answers(egl=says(), osmesa=says())
    renderer = choose_renderer("mujoco")
    assert renderer.name == "egl-software"
    assert (renderer.env["MUJOCO_GL"], renderer.env["MUJOCO_EGL_DEVICE_ID"]) == ("egl", "0")
    assert renderer.facts == {"name": "egl-software", "vendor": "V", "renderer": "llvmpipe", "version": "4.5"}
    assert fake.calls == ["egl"]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (FAILS, "ImportError: no such library"),
        (says(is_black=True), "black"),
        (says(n_colours=1), "black"),
        ("kill -SEGV $$", "crashed (signal 11)"),
        ("echo garbage", "exit status 0"),
    ],
)
def test_a_back_end_that_fails_or_renders_black_is_passed_over(fake: FakePython, answer: str, detail: str):
    fake.answers(egl=answer, osmesa=says())
    assert choose_renderer("mujoco").name == "osmesa"
    reports = probe_renderers("mujoco")
    assert [(report.name, report.works) for report in reports] == [("egl-software", False), ("osmesa", True)]
    assert detail in reports[0].detail
    assert reports[0].fix_line == APT_LINE


def test_a_back_end_that_hangs_is_given_up(fake: FakePython, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendering, "_TIMEOUT_S", 0.5)
    fake.answers(egl="exec sleep 600", osmesa=says())
    assert choose_renderer("mujoco").name == "osmesa"


def test_none_that_works_is_one_line_with_what_to_type(fake: FakePython):
    fake.answers(egl=FAILS, osmesa=FAILS)
    with pytest.raises(NoRenderer) as caught:
        choose_renderer("mujoco")
    message = str(caught.value)
    assert "\n" not in message
    assert APT_LINE in message
    assert "osmesa: ImportError" in message
    assert "no pictures still run" in message


def test_success_is_remembered_for_the_next_process_and_failure_is_not(
    fake: FakePython, home: Path, monkeypatch: pytest.MonkeyPatch
):
    fake.answers(egl=FAILS, osmesa=FAILS)
    for _ in range(2):
        with pytest.raises(NoRenderer):
            choose_renderer("mujoco")
    assert len(fake.calls) == 4
    fake.answers(egl=says(), osmesa=says())
    first = choose_renderer("mujoco")
    monkeypatch.setattr(rendering, "_chosen", {})
    assert choose_renderer("mujoco") == first
    assert len(fake.calls) == 5
    assert (home / "cache" / "renderers.json").exists()
    # Another environment is another question.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    choose_renderer("mujoco")
    assert len(fake.calls) == 6


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}'])
def test_a_damaged_memory_is_no_memory(fake: FakePython, home: Path, content: str):
    (home / "cache").mkdir()
    (home / "cache" / "renderers.json").write_text(content)
    fake.answers(egl=says())
    assert choose_renderer("mujoco").name == "egl-software"


def test_a_memory_that_cannot_be_written_does_not_matter(fake: FakePython, home: Path):
    (home / "cache").write_text("a file where the folder should be")
    fake.answers(egl=says())
    assert choose_renderer("mujoco").name == "egl-software"


@pytest.mark.parametrize("given", ["osmesa", "OSMesa"])
def test_the_wanted_one_is_the_only_one_tried(fake: FakePython, given: str):
    fake.answers(egl=says(), osmesa=says())
    assert choose_renderer("mujoco", given).name == "osmesa"
    assert fake.calls == ["osmesa"]


def test_the_variable_is_followed_and_the_option_wins_over_it(fake: FakePython, monkeypatch: pytest.MonkeyPatch):
    fake.answers(egl=says(), osmesa=says())
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert choose_renderer("mujoco").name == "osmesa"
    assert choose_renderer("mujoco", "egl").name == "egl-software"


def test_a_gpu_that_is_wanted_is_not_replaced_by_software(fake: FakePython):
    fake.answers(egl=says(), osmesa=says())
    with pytest.raises(NoRenderer, match="'egl-gpu' does not work"):
        choose_renderer("mujoco", "egl-gpu")


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown render back end 'vulkan'"):
        choose_renderer("mujoco", "vulkan")


def test_rendering_that_is_switched_off_is_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(NoRenderer, match="MUJOCO_GL=off"):
        choose_renderer("mujoco")


def test_the_users_egl_device_is_kept(fake: FakePython, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_EGL_DEVICE_ID", "3")
    fake.answers(egl=says(renderer="NVIDIA H200"))
    renderer = choose_renderer("mujoco")
    assert (renderer.name, renderer.env["MUJOCO_EGL_DEVICE_ID"]) == ("egl-gpu", "3")


# EGL counts these GPUs the other way round than CUDA.
GPUS = [
    EglDevice(index=index, cuda=2 - index, uuid=f"{2 - index:x}" * 32, drm=f"/dev/dri/card{index}")
    for index in range(3)
]
SOFTWARE = EglDevice(index=3, is_software=True)
INTEL = EglDevice(index=4, drm="/dev/dri/card9")
ALL = [*GPUS, SOFTWARE]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [2, 1, 0, 3]),  # CUDA's order
        ("0", [2, 3]),
        ("2", [0, 3]),
        ("2,0", [0, 2, 3]),
        ("1,-1,0", [1, 3]),
        ("GPU-00000000-0000-0000-0000-000000000000", [2, 3]),
        ("GPU-2222", [0, 3]),
        ("", [3]),  # hidden GPUs are not rendered on
        ("-1", [3]),
        ("MIG-abc", [2, 1, 0, 3]),  # cannot be recognised: any GPU rather than none
    ],
)
def test_egl_devices_follow_cuda_visible_devices(visible: str | None, expected: list[int]):
    assert [device.index for device in choose_devices(ALL, ALL, visible)] == expected


def test_a_driver_that_hides_devices_from_egl_is_seen_through():
    # With the variable set, this driver lists one device only, and numbers it anew.
    seen = [EglDevice(index=0, cuda=0, uuid="1" * 32), EglDevice(index=1, is_software=True)]
    assert [device.index for device in choose_devices(ALL, seen, "1")] == [0, 1]


def test_gpus_of_others_are_no_matter_of_cudas():
    assert [device.index for device in choose_devices([INTEL, SOFTWARE], [INTEL, SOFTWARE], "0")] == [4, 3]
    assert [device.index for device in choose_devices([*ALL, INTEL], [*ALL, INTEL], "-1")] == [4, 3]


def test_listing_egl_devices_prints_a_list_with_or_without_the_library():
    program = Path(choice.__file__).with_name("egl_devices.py")
    done = subprocess.run([sys.executable, "-P", program], capture_output=True, text=True, check=True)
    assert [choice.read_device(device).index for device in json.loads(done.stdout)] == list(
        range(len(json.loads(done.stdout)))
    )


@pytest.mark.sim
def test_the_probe_renders_with_the_real_library():
    if not (works := [report for report in probe_renderers("mujoco") if report.works]):
        pytest.skip("no render back end here")
    assert works[0].renderer is not None
    assert works[0].renderer.facts["version"]


@pytest.mark.sim
def test_states_need_no_render_back_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    suite = find_suite("metaworld_reach", "compact")
    episode = make_plan(suite, n_trials=1).episodes[0]
    env = open_env(suite, EnvOptions())
    try:
        assert env.reset(episode).state["agent_pos"].shape == (4,)
    finally:
        env.close()
    with pytest.raises(NoRenderer):
        open_env(suite, EnvOptions(cameras=("front",)))
