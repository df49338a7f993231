"""Suites' own environments: whole or not there, whatever happens while one is made."""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.envs.installs import PRINT_VERSION, SmallFamily, fake_uv
from tests.envs.metaworld_golden import play
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.metaworld import family as metaworld
from vla_bench.envs.registry import open_env
from vla_bench.envs.runtime import install
from vla_bench.envs.runtime.install import create_env, installation_status, list_envs, remove_env
from vla_bench.envs.runtime.installing import build, interpreters, wheel
from vla_bench.envs.runtime.installing.interpreters import find_python
from vla_bench.envs.runtime.installing.wheel import worker_code
from vla_bench.envs.runtime.place import place_of
from vla_bench.envs.toy_reach import family as toy
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import SuiteNotInstalled

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n")
    return path


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = fake_uv(tmp_path, "echo installed")
    for module in (build, interpreters):
        monkeypatch.setattr(module, "find_uv", lambda: path)
    monkeypatch.setattr(build, "_CHECK", PRINT_VERSION)
    return path


def test_an_environment_is_created_listed_used_and_removed(lock: Path, uv: Path, home: Path):
    family, lines = SmallFamily(lock), []
    assert not installation_status(SmallFamily(lock, imports=("no_such_module",))).is_ready
    place = create_env(family, progress=lines.append)
    assert place.parent == home / "envs"
    assert place.name.startswith("small-")
    assert "installed" in lines
    (found,) = list_envs()
    assert (found.family, found.path, found.python) == ("small", place, platform.python_version())
    assert found.size_bytes > 0
    status = installation_status(SmallFamily(lock, imports=("no_such_module",)))
    assert (status.is_ready, status.interpreter) == (True, place / "bin" / "python")
    remove_env(family)
    assert list_envs() == []
    with pytest.raises(SuiteNotInstalled, match="env list"):
        remove_env(family)
    assert not [path for path in (home / "envs").iterdir() if not path.name.startswith(".lock-")]


def test_scripts_name_the_final_place(lock: Path, uv: Path):
    place = create_env(SmallFamily(lock))
    text = (place / "bin" / "activate").read_text()
    assert str(place) in text
    assert ".partial" not in text


def test_one_that_is_up_to_date_is_left_as_it_is(lock: Path, uv: Path):
    place = create_env(SmallFamily(lock))
    (place / "mine").touch()
    assert create_env(SmallFamily(lock)) == place
    assert (place / "mine").exists()


def test_one_with_older_code_is_used_with_the_running_code(lock: Path, uv: Path, monkeypatch: pytest.MonkeyPatch):
    family = SmallFamily(lock)
    place = create_env(family)
    assert installation_status(family).code is None
    digest = "0" * 32
    monkeypatch.setattr(install, "worker_digest", lambda: digest)
    monkeypatch.setattr(wheel, "worker_digest", lambda: digest)
    status = installation_status(family)
    assert (status.is_ready, status.interpreter) == (True, place / "bin" / "python")
    assert status.code is not None
    assert status.code.name == f"code-{digest}"
    environment = place_of(family, EnvOptions()).environment
    assert environment["PYTHONPATH"] == str(status.code)
    program = "import vla_bench; print(vla_bench.__file__)"
    command = [sys.executable, "-P", "-c", program]
    found = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).is_relative_to(status.code)
    assert [path for path in list_envs() if path.path == place]


def test_code_that_nobody_asked_for_in_a_week_goes(tmp_path: Path):
    old = tmp_path / "code-old"
    recent = tmp_path / "code-recent"
    for folder, age_days in ((old, 8), (recent, 6)):
        folder.mkdir()
        then = time.time() - 24 * 3600 * age_days
        os.utime(folder, (then, then))
    present = worker_code(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([present.name, recent.name])
    assert worker_code(tmp_path) == present


def test_a_new_lock_file_means_a_new_environment_and_the_old_one_goes(lock: Path, uv: Path):
    old = create_env(SmallFamily(lock))
    lock.write_text("# something\n")
    assert not installation_status(SmallFamily(lock)).is_ready
    new = create_env(SmallFamily(lock))
    assert new != old
    assert [found.path for found in list_envs()] == [new]


@pytest.mark.parametrize("failing", ["packages", "imports"])
def test_a_failure_leaves_nothing_and_says_why(
    lock: Path, uv: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    if failing == "packages":
        fake_uv(tmp_path, "echo 'no such package: humbug'; exit 1")
    else:
        monkeypatch.setattr(build, "_CHECK", "raise SystemExit('no such package: humbug')")
    with pytest.raises(
        SuiteNotInstalled, match=rf"'small' cannot be made: the {failing}: .*env create small"
    ) as caught:
        create_env(SmallFamily(lock))
    # pip is tried after uv; this environment has none, and that is then the last word.
    assert "humbug" in str(caught.value) or "No module named pip" in str(caught.value)
    assert [path.name for path in (home / "envs").iterdir()] == [".lock-small"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_installation_that_is_interrupted_leaves_nothing_half_made(
    lock: Path, uv: Path, tmp_path: Path, home: Path, ending: signal.Signals
):
    reached = tmp_path / "reached"
    slow = tmp_path / "slow"
    slow.mkdir()
    fake = fake_uv(slow, f"echo $$ > {reached}.part; mv {reached}.part {reached}; sleep 600")
    command = [sys.executable, "-m", "tests.envs.installs", lock, fake]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not reached.exists():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        installer = psutil.Process(int(reached.read_text()))
        child.send_signal(ending)
        child.wait(timeout=20)
        psutil.wait_procs([installer], timeout=20)
        assert not installer.is_running()
    finally:
        child.kill()
        child.wait()
    assert list_envs() == []
    assert [path.name for path in (home / "envs").iterdir()] == [".lock-small"]
    assert create_env(SmallFamily(lock)).is_dir()


def test_the_next_create_removes_what_a_killed_one_left(lock: Path, uv: Path, home: Path):
    for name in (".partial-small-0123456789ab", ".old-small-0123456789ab"):
        (home / "envs" / name / "lib").mkdir(parents=True)
    place = create_env(SmallFamily(lock))
    assert sorted(path.name for path in (home / "envs").iterdir()) == [".lock-small", place.name]


def test_listing_does_not_disturb_an_installation_that_runs(home: Path):
    partial = home / "envs" / ".partial-small-0123456789ab"
    partial.mkdir(parents=True)
    with (home / "envs" / ".lock-small").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list_envs() == []
        assert partial.exists()
    assert list_envs() == []
    assert not partial.exists()


def test_two_installations_at_once_make_one_environment(lock: Path, uv: Path, tmp_path: Path):
    counter = tmp_path / "count"
    slow = tmp_path / "slow"
    slow.mkdir()
    fake = fake_uv(slow, f"echo x >> {counter}; sleep 0.3")
    command = [sys.executable, "-m", "tests.envs.installs", lock, fake]
    children = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert len(list_envs()) == 1
    assert counter.read_text().split() == ["x", "x"]  # the packages and our wheel, once each


def test_a_family_without_needs_runs_here():
    status = installation_status(toy)
    assert (status.is_ready, status.interpreter, status.reason) == (True, Path(sys.executable), "")
    with pytest.raises(SuiteNotInstalled, match="present interpreter"):
        create_env(toy)


def test_what_is_missing_here_is_said_with_the_line_that_installs_it(lock: Path):
    other = installation_status(SmallFamily(lock, versions={"numpy": "0.0.1"}))
    assert not other.is_ready
    assert "needs numpy 0.0.1" in other.reason
    missing = installation_status(SmallFamily(lock, imports=("no_such_module",), extra="small"))
    assert "no module no_such_module" in missing.reason
    assert missing.fix_line == "pip install 'vla-bench[small]'"
    # An extra does not help an interpreter that the simulator has no wheels for.
    old = installation_status(SmallFamily(lock, imports=("no_such_module",), extra="small", pythons=("3.9",)))
    assert old.fix_line == "vla-bench env create small"


def test_the_lock_file_pins_every_package_by_hash_and_names_no_place():
    text = (ROOT / "vla_bench" / "envs" / "metaworld" / "requirements.lock").read_text()
    assert "metaworld==3.1.1" in text
    assert "mujoco==3.3.0" in text
    pins = [block for block in text.replace("\\\n", " ").splitlines() if block and not block.startswith("#")]
    assert pins
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in text
    assert "--find-links" not in text


def test_this_interpreter_is_found_first():
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert find_python((here,)) == Path(sys.executable)
    assert find_python(()) == Path(sys.executable)


def fake_python(folder: Path, name: str, version: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_a_shim_that_stands_for_no_python_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shims, real = tmp_path / "shims", tmp_path / "real" / "versions" / "3.99.1" / "bin"
    shims.mkdir()
    real.mkdir(parents=True)
    fake_python(shims, "python3.99", "").write_text(
        "#!/bin/sh\necho 'pyenv: python3.99: command not found'; exit 127\n"
    )
    found = fake_python(real, "python3.99", "3.99")
    monkeypatch.setenv("PATH", f"{shims}:{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "real"))
    assert find_python(("3.98", "3.99")) == found


def test_without_a_fitting_python_uv_fetches_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = fake_python(tmp_path, "fetched", "3.99")
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" = find ] && echo {python}\nexit 0\n')
    uv.chmod(0o755)
    monkeypatch.setattr(interpreters, "find_uv", lambda: uv)
    lines: list[str] = []
    assert find_python(("3.99",), progress=lines.append) == python
    assert "uv fetches 3.99" in lines[0]
    assert (tmp_path / "calls").read_text().splitlines()[0] == "python install 3.99"
    uv.write_text("#!/bin/sh\necho 'no network' >&2\nexit 2\n")
    with pytest.raises(SuiteNotInstalled, match=r"uv cannot fetch Python 3\.99: no network"):
        find_python(("3.99",))


def test_without_uv_the_message_says_how_to_get_a_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interpreters, "find_uv", lambda: None)
    with pytest.raises(SuiteNotInstalled, match=r"no Python 3\.98 or 3\.99 .*pip install uv"):
        find_python(("3.98", "3.99"))


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_metaworld_runs_in_an_environment_of_its_own_with_the_states_of_this_one():
    place = create_env(metaworld)
    status = installation_status(metaworld)
    assert status.interpreter == place / "bin" / "python"
    suite = metaworld.suite("metaworld_reach", "compact")
    episode = make_plan(suite, n_trials=1).episodes[0]
    here = metaworld.make_env(suite, EnvOptions())
    env = open_env(suite, EnvOptions())
    try:
        assert env.reset(episode).digest == play(here, "reach-v3")["initial"]
        packages = subprocess.run(
            [status.interpreter, "-m", "pip", "list"], capture_output=True, text=True, check=True
        ).stdout
        assert "fastapi" not in packages
    finally:
        env.close()
    remove_env(metaworld)
