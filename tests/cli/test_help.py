"""The face of the command line: what `--help` says, and that saying it is cheap."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command

from tests.cli.conftest import Run
from vla_bench.cli.main import COMMANDS, CommandEntry

HEAVY = {"alembic", "fastapi", "gymnasium", "httpx2", "metaworld", "mujoco", "numpy", "scipy", "sqlalchemy", "uvicorn"}
NAMES = [entry.name for entry in COMMANDS]


def load(name: str) -> Any:
    module = next(entry.module for entry in COMMANDS if entry.name == name)
    return get_command(import_module(module).app)


def leaves(command: Any) -> list[Any]:
    """The command, or those of a group and of the groups in it."""
    parts = getattr(command, "commands", {}).values()
    return [leaf for part in parts for leaf in leaves(part)] or [command]


def modules_after(*args: str, **variables: str) -> set[str]:
    code = (
        "import sys\nfrom vla_bench.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, env=variables or None
    )
    return set(done.stdout.partition("MODULES ")[2].split())


def test_a_newcomer_reads_run_serve_show_first(quick: Run) -> None:
    page = quick("--help").stdout
    places = [page.index(text) for text in ("First", " run ", " serve ", " show ", "Set up", "Understand", "Publish")]
    assert places == sorted(places)
    assert all(f" {name} " in page for name in NAMES)


@pytest.mark.parametrize("args", [("--help",), ("--version",)], ids=" ".join)
def test_the_first_page_imports_nothing_heavy(args: tuple[str, ...]) -> None:
    assert not modules_after(*args) & HEAVY


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_imports_no_simulator_and_no_database(name: str) -> None:
    assert not modules_after(name, "--help") & {"alembic", "fastapi", "metaworld", "mujoco", "scipy", "sqlalchemy"}


def test_completion_of_names_imports_nothing_heavy() -> None:
    words = {"_VLA_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "vla-bench r", "COMP_CWORD": "1"}
    assert not modules_after(**words) & HEAVY


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_first_page_says_what_the_command_itself_says(entry: CommandEntry) -> None:
    assert (load(entry.name).help or "").partition("\n")[0] == entry.summary


@pytest.mark.parametrize("name", NAMES)
def test_every_help_has_examples_and_every_option_a_word(quick: Run, name: str) -> None:
    done = quick(name, "--help")
    assert done.returncode == 0
    for leaf in leaves(load(name)):
        assert "vla-bench" in (leaf.epilog or ""), leaf.name
        assert all(getattr(option, "help", None) for option in leaf.params), leaf.name


def test_bare_program_and_bare_group_show_their_help_and_say_usage(quick: Run) -> None:
    for args in ((), ("env",)):
        done = quick(*args)
        assert done.returncode == 2
        assert "Usage" in done.stdout


def test_version_is_the_package_s(vla_bench: Run) -> None:
    from vla_bench import __version__

    assert vla_bench("--version").stdout == f"vla-bench {__version__}\n"
