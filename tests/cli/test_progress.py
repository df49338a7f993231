"""What a run shows while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vla_bench.cli.display import progress
from vla_bench.cli.display.console import THEME
from vla_bench.cli.display.progress import LiveProgress, PlainProgress, Progress
from vla_bench.harness.events import RunStarted, ServerWait
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import Plan, make_plan
from vla_bench.spec.errors import ServerUnreachable
from vla_bench.spec.messages import PolicyInfo, PolicyKind
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

PROTOCOL = Protocol(name="standard", version=1, n_trials=2, base_seed=0, action_bounds=ActionBounds.HARD)
SUITE = Suite(
    name="shelf", family="shelf", title="", protocol=PROTOCOL, cameras=(), state={}, action=ActionConvention(),
    tasks=(Task(id="lift", instruction="lift it", horizon=10), Task(id="drop", instruction="drop it", horizon=10)),
)  # fmt: skip
PLAN: Plan = make_plan(SUITE)
GONE = ServerUnreachable("connection refused [Errno 111]")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    console = Console(file=stream, width=120, theme=THEME, highlight=False)
    monkeypatch.setattr(progress, "story", lambda: console)
    return stream


def start(display: Progress, **changes: object) -> None:
    values: dict[str, object] = {
        "name": "mine", "suite": SUITE, "plan": PLAN, "settings": EvalSettings(), "shard": "", "n_planned": 4,
        "policy": PolicyInfo(name="expert", kind=PolicyKind.ORACLE), "n_judged": 0, "n_success": 0, "n_to_run": 4,
        "n_workers": 1, "executor": "local", "is_resumed": False, "database": "/tmp/results.db",
    }  # fmt: skip
    display.run_started(RunStarted(**(values | changes)))  # type: ignore[arg-type]


def lost(number: int) -> AttemptResult:
    return AttemptResult(
        attempt=number, outcome=Outcome.POLICY_ERROR, error_kind=GONE.kind, error_message=str(GONE), n_steps=5
    )


def judge(display: Progress, index: int, outcome: Outcome, attempt: int = 0) -> None:
    result = AttemptResult(attempt=attempt, outcome=outcome)
    display.attempt_finished(PLAN.episodes[index], result, is_final=True)
    display.episode_finished(EpisodeResult(episode=PLAN.episodes[index], attempts=(result,)))


def test_plain_progress_tells_counts_interval_and_end(screen: io.StringIO) -> None:
    with PlainProgress() as display:
        start(display)
        for index in range(4):
            judge(display, index, Outcome.SUCCESS if index else Outcome.FAILURE)
    text = screen.getvalue()
    assert "expert (oracle) on shelf standard/1: 4 episodes" in text
    assert "4/4 episodes · 3/4 = 75.0 % [30.1, 95.4] succeeded" in text
    assert "\x1b" not in text


def test_a_lost_attempt_is_told_with_its_reason_and_what_follows(screen: io.StringIO) -> None:
    with PlainProgress() as display:
        start(display)
        display.attempt_finished(PLAN.episodes[1], lost(0), is_final=False)
        display.waiting_for_server(ServerWait(error=GONE, wait_s=30, is_restarting=True))
        display.server_back()
        judge(display, 1, Outcome.SUCCESS, attempt=1)
    text = screen.getvalue()
    assert "lost drop trial 0, attempt 1, at step 5: server_unreachable: connection refused [Errno 111]" in text
    assert "run again with the same seeds" in text
    assert "starting a new policy server" in text
    assert "back drop trial 0: success in attempt 2" in text


def test_lost_for_good_is_counted_and_never_as_a_failure(screen: io.StringIO) -> None:
    with PlainProgress() as display:
        start(display, n_planned=1, n_to_run=1)
        display.attempt_finished(PLAN.episodes[0], lost(2), is_final=True)
        display.episode_finished(EpisodeResult(episode=PLAN.episodes[0], attempts=(lost(2),)))
    text = screen.getvalue()
    assert "lost for good" in text
    assert "none judged yet" in text
    assert "1 server_unreachable lost" in text


def test_a_complete_run_is_said_to_be_complete(screen: io.StringIO) -> None:
    with LiveProgress() as display:
        start(display, n_judged=4, n_success=4, n_to_run=0, is_resumed=True)
    assert "complete before" in screen.getvalue()
    assert "--fresh" in screen.getvalue()


def test_the_live_display_shows_bar_interval_speed_and_trouble() -> None:
    console = Console(file=io.StringIO(), width=100, theme=THEME)
    display = LiveProgress()
    display.tally = display.tally.of(
        RunStarted(
            name="mine", suite=SUITE, plan=PLAN, settings=EvalSettings(), policy=PolicyInfo(name="p"), shard="",
            n_planned=4, n_judged=1, n_success=1, n_to_run=3, n_workers=1, executor="local", is_resumed=True,
            database="",
        )
    )  # fmt: skip
    display.tally.add_attempt(lost(0), is_final=False)
    display.tally.add_episode(EpisodeResult(episode=PLAN.episodes[0], attempts=(lost(1),)))
    display.tally.waiting = "waiting up to 0:30 for the policy server"
    console.print(display.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1/3 episodes" in text
    assert "successes so far 1/1 = 100.0 % [20.7, 100.0]" in text
    assert "episodes/min" in text
    assert "lost: 1 server_unreachable" in text
    assert "run again: 1 server_unreachable" in text
    assert "waiting up to 0:30" in text
