"""The demo, told in full: it takes minutes and a simulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vla_bench.results.store import Store

pytestmark = [pytest.mark.sim, pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_demo_loses_nothing_stops_the_twin_films_a_flip_and_replays_it_to_the_bit(
    vla_bench: Run, home: Path
) -> None:
    done = vla_bench("demo", timeout_s=900)
    assert done.returncode == 0, done.stderr
    assert re.search(r"kill -9 \d+", done.stderr)
    assert re.search(r"lost \S+ trial \d, attempt 1, .*run again with the same seeds", done.stderr)
    assert "the policy server answers again" in done.stderr
    assert re.search(r"back \S+ trial \d: (success|failure) in attempt 2", done.stderr)
    assert done.stdout.count("of 20 planned, 0 lost") == 4
    assert "gate: fail" in done.stdout
    assert re.search(r"push-v3 +0  success, \d+ steps  failure, 500 steps", done.stdout)
    assert re.search(r"^bit +20 ", done.stdout, re.MULTILINE)
    assert "Next:" in done.stdout
    (film,) = (home / "films").iterdir()
    assert str(film) in done.stdout
    assert film.name.startswith("demo-expert-vs-demo-clumsy-")
    with Store.open(read_only=True) as store:
        expert, clumsy = store.summaries()
        assert expert.plan_hash == clumsy.plan_hash
        assert expert.rate is not None
        assert clumsy.rate is not None
        assert expert.rate > clumsy.rate
        assert expert.n_attempts > expert.n_judged == 20


def test_without_a_render_back_end_the_demo_goes_on_with_states_and_says_so(vla_bench: Run, home: Path) -> None:
    done = vla_bench("demo", timeout_s=900, MUJOCO_GL="disabled")
    assert done.returncode == 0, done.stderr
    assert "states only" in done.stderr
    assert "gate: fail" in done.stdout
    assert re.search(r"^bit +20 ", done.stdout, re.MULTILINE)
    assert not (home / "films").exists()
