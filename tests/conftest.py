"""What every test gets: a home of its own, and a look at what it left behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from hypothesis import settings

from vla_bench.envs.registry import family_of
from vla_bench.envs.runtime.home import environments_folder
from vla_bench.envs.runtime.install import create_env, installation_status

# Without a clock: how long an example takes says nothing on a busy machine.
settings.register_profile("no_clock", deadline=None)
settings.load_profile("no_clock")

# A shell starts what it puts into the background deaf to Ctrl-C, and every process of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
MARK = "VLA_BENCH_TEST_MARK"
GRACE_S = 5.0


def _postgres_programs() -> bool:
    return shutil.which("initdb") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


NO_SHARED = "../shared is absent"
# Marker → whether this machine can, and the line that changes it.
CAPABILITIES = {
    "sim": (
        importlib.util.find_spec("metaworld") is not None,
        "no simulator: pip install 'vla-bench[metaworld]'",
    ),
    "bullet": (
        importlib.util.find_spec("pybullet") is not None,
        "no PyBullet: pip install 'vla-bench[calvin]'",
    ),
    "postgres": (_postgres_programs(), "no PostgreSQL server programs: apt-get install postgresql"),
    "gpu": (Path("/dev/nvidiactl").exists(), "no GPU"),
    "browser": (shutil.which("chromium") is not None, "no Chromium: apt-get install chromium"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the same words for all tests of a kind."""
    for item in items:
        for marker, (is_there, reason) in CAPABILITIES.items():
            if not is_there and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each thing that this machine lacks."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, count in Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped).items():
        if reason != NO_SHARED:
            terminalreporter.write_line(f"{count} tests skipped, {reason}")
    if not SHARED.is_dir():
        terminalreporter.write_line(f"{SHARED} is absent: tests that compare with its data are skipped")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `VLA_BENCH_HOME`, so that no test sees the user's runs or another test's."""
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VLA_BENCH_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def users_home() -> Path:
    """Where the user's own suite environments are; asked for before a test has a home of its own."""
    return environments_folder().parent


@pytest.fixture
def libero(users_home: Path, home: Path) -> Path:
    """LIBERO's own environment, the user's, created as `vla-bench env create libero` does where it is not there.

    Returns:
        Its interpreter.
    """
    family = family_of("libero")
    envs = users_home / "envs"
    envs.mkdir(parents=True, exist_ok=True)
    (home / "envs").symlink_to(envs)
    create_env(family)
    status = installation_status(family)
    assert status.interpreter is not None
    return status.interpreter


@pytest.fixture(autouse=True)
def no_process_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test after which a process lives that it started, however far from this process it has gone."""
    mark = f"{MARK}={uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))
    before = set(psutil.pids())
    yield
    # Most tests start nothing, and to walk the tree of all processes costs more than many of them.
    if not (new := set(psutil.pids()) - before):
        return
    suspects = [child for child in psutil.Process().children(recursive=True) if child.pid in new]
    suspects += [process for pid in new if _carries(pid, mark) and (process := _process(pid)) is not None]
    _, alive = psutil.wait_procs({process for process in suspects if not _is_helper(process)}, timeout=GRACE_S)
    left = [line for process in alive if (line := _describe(process))]
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=GRACE_S)
    if left:
        pytest.fail("processes are left behind:\n" + "\n".join(left))


def _carries(pid: int, mark: str) -> bool:
    """Whether a process was started, at any distance, by the test of this mark (Linux; False elsewhere)."""
    if pid == os.getpid():
        return False
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _is_helper(process: psutil.Process) -> bool:
    # One tracker for the whole test session, which Python itself starts and stops.
    try:
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return ""
