"""LIBERO from an empty home: `run` says the one line that is missing, and `--yes` types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

TASK = "pick_up_the_alphabet_soup_and_place_it_in_the_basket"


# The wheels, 400 MB, are in the package manager's cache after the first time.
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.xdist_group("libero")
def test_a_home_without_libero_is_told_the_line_and_yes_types_it(vla_bench: Run, home: Path):
    command = ("run", "--policy", "noop", "--suite", "libero_object", "--task", TASK, "--trials", "1", "-w", "1")
    refused = vla_bench(*command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(". Type: vla-bench env create libero\n")
    assert len(refused.stderr.splitlines()) == 1
    unknown = vla_bench("run", "--policy", "lamb-chop", "--suite", "libero_object", "--yes")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "unknown policy 'lamb-chop'" in unknown.stderr
    assert "FILE.py:CLASS" in unknown.stderr
    assert not (home / "envs").exists()
    done = vla_bench(*command, "--yes", "--env-timeout", "300", timeout_s=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "checking 886 files of LIBERO" in done.stdout + done.stderr
    assert "1 of 1 planned" in " ".join(done.stdout.split())
    assert [path.name.partition("-")[0] for path in (home / "envs").iterdir() if path.is_dir()] == ["libero"]
    assert vla_bench("env", "remove", "libero").returncode == 0
