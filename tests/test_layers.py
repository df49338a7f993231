"""Who may import whom, and what a bare import costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What stays out of every import of the core: it is imported where it is used.
HEAVY = ["jax", "matplotlib", "metaworld", "mujoco", "ray", "tensorflow", "torch", "transformers"]

# Beside `family`, which describes, the modules of such a folder are imported where the simulator is.
ADAPTERS = re.compile(
    r"vla_bench\.envs\.((calvin|libero|metaworld)\.(?!family$|plus$|plus\.suites?$)"
    r"|perturb\.(background|baseline|camera|layout|perturber|robot|soundness)$)"
)

# Imports modules in a fresh interpreter in which only some top-level packages are to be had.
IMPORT_ALONE = """
import importlib, json, sys
names, allowed = json.loads(sys.argv[1]), set(json.loads(sys.argv[2])) | set(sys.stdlib_module_names)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{name} is not for this room", name=name)

sys.meta_path.insert(0, Refuse())
for name in names:
    importlib.import_module(name)
"""


def modules_of(room: str) -> list[str]:
    """Every module of a room but migrations, scripts and what only a worker imports."""
    folder = Path(str(files("vla_bench"))) / room
    paths = [path.relative_to(folder.parent.parent).with_suffix("") for path in sorted(folder.rglob("*.py"))]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if not ADAPTERS.match(name) and not re.search(r"\.migrations|__main__", name)]


def import_alone(room: str, *, allowed: set[str]) -> None:
    names = modules_of(room)
    assert f"vla_bench.{room}" in names
    arguments = [json.dumps(names), json.dumps(sorted(allowed | {"vla_bench"}))]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALONE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def top_levels(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_import_contracts_are_kept() -> None:
    if not (ROOT / "vla_bench").is_dir():
        pytest.skip("the contracts are those of the source tree")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


def test_spec_needs_the_standard_library_and_numpy_alone() -> None:
    import_alone("spec", allowed={"numpy"})


def test_envs_import_inside_a_simulators_own_interpreter() -> None:
    gymnasium = {"gymnasium", "cloudpickle", "farama_notifications", "typing_extensions", "packaging"}
    import_alone("envs", allowed={"numpy", "msgpack", "psutil"} | gymnasium)


def test_describing_every_suite_imports_no_simulator() -> None:
    statement = """
from vla_bench.envs.registry import families
for family in families():
    for name in family.suite_names():
        for protocol in family.protocol_names(name):
            family.suite(name, protocol)
"""
    assert not top_levels(modules_after(statement)) & set(HEAVY)


@pytest.mark.parametrize("room", ["spec", "envs", "policies", "results", "harness", "cli", "testing"])
def test_no_room_imports_torch_ray_or_a_simulator(room: str) -> None:
    statement = "\n".join(f"import {name}" for name in modules_of(room))
    assert not top_levels(modules_after(statement)) & set(HEAVY)


def test_importing_the_package_imports_no_room() -> None:
    modules = modules_after("import vla_bench")
    assert not {name for name in modules if name.startswith("vla_bench.")}
    assert "numpy" not in modules


def test_help_imports_nothing_that_is_slow() -> None:
    statement = """
import contextlib, io
from vla_bench.cli.main import main
sys.argv = ["vla-bench", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main()
assert "vla-bench" in out.getvalue()
"""
    slow = {"alembic", "fastapi", "grpc", "gymnasium", "httpx2", "msgpack", "numpy", "PIL", "pydantic", "scipy"}
    slow |= {"sqlalchemy", "sqlmodel", "uvicorn", *HEAVY}
    assert not top_levels(modules_after(statement)) & slow
