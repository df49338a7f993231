"""The built wheel, installed elsewhere: what is in it, and that the tests pass against it and not against the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "dev.lock"

# What reads files of the package (protocols, migrations, templates), imports all of it, starts processes of it, or is a
# command. What only computes does so alike wherever it lies, and is tested once.
TESTED = [
    "spec/test_canonical.py", "spec/test_plugins.py", "spec/test_public_names.py", "results/test_compare.py",
    "results/test_groups.py", "results/test_location.py", "results/test_merge.py",
    "results/test_report.py", "results/test_schema.py", "results/test_store.py", "results/plots/test_style.py",
    "cli/test_help.py", "cli/test_listings.py", "envs/test_registry.py", "envs/test_toy_reach.py",
    "envs/test_worker.py", "policies/test_child.py", "policies/http/test_server.py", "harness/test_verify.py",
]  # fmt: skip
DESELECTED = "not slow and not sim and not postgres and not browser and not gpu"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("wheel"),
    pytest.mark.skipif(not (ROOT / "vla_bench").is_dir(), reason="these tests build the source tree"),
]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what a checkout holds (not from what lies about in the tree)."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("vla_bench", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def interpreter(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the locked packages and the wheel."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    pip = [uv, "pip", "install", "-q", "--python", python] if uv.exists() else [python, "-m", "pip", "install", "-q"]
    run(*pip, "--require-hashes", "-r", LOCK)
    run(*pip, "--no-deps", wheel)
    return python


def test_everything_in_the_package_folder_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    tree = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vla_bench").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tree - packed == set()
    # The page of what can move a score reads the changelog.
    extra = {name for name in packed if name.startswith("vla_bench/")} - tree
    assert extra == {"vla_bench/server/pages/CHANGELOG.md"}


@pytest.mark.parametrize("pattern", ["py.typed", "envs/*/protocols/*.toml", "results/migrations/versions/*.py"])
def test_data_files_are_in_the_wheel(wheel: Path, pattern: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if Path(name).match(f"vla_bench/{pattern}")]


def test_licence_and_commands_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "vla-bench = vla_bench.cli.main:main" in points


def test_the_tests_pass_against_the_installed_wheel(interpreter: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__", "test_wheel.py"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    where = run(interpreter, "-c", "import vla_bench; print(vla_bench.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(interpreter.parent.parent)
    options = ["-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup", "-m", DESELECTED]
    tests = [f"tests/{name}" for name in TESTED]
    assert " passed" in run(interpreter, "-m", "pytest", *options, *tests, cwd=tmp_path).splitlines()[-1]


def test_the_installed_command_answers(interpreter: Path, tmp_path: Path) -> None:
    assert "run" in run(interpreter.parent / "vla-bench", "--help", cwd=tmp_path)
