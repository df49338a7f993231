"""A run as a dataset: its recorded actions are replayed, and every step of it is written down, with pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.envs.base import EnvHandle, EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.harness.replay import Recording, recordings_of
from vla_bench.harness.replay.recording import faults_of
from vla_bench.harness.replay.verify import check_is_replayable
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.exports.atomic import new_folder
from vla_bench.results.exports.encoder import check_encoder
from vla_bench.results.exports.lerobot import DatasetWriter, Step
from vla_bench.results.store import Store
from vla_bench.spec.errors import EnvError, UsageError
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.suite import Suite

__all__ = ["DatasetOptions", "DatasetSummary", "export_dataset"]


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What goes into a dataset.

    Attributes:
        cameras: whose pictures; None for all that the suite has, empty for none.
        size: height and width of pictures in pixels, 0 for the suite's own.
        only: `success` or `failure` keeps these episodes; empty keeps all judged ones.
        fps: control steps a second, as the dataset is to say.
        layout: version of LeRobot's format.
        renderer: render back end, empty for the first one that works.
    """

    cameras: tuple[str, ...] | None = None
    size: int = 0
    only: str = ""
    fps: int = 20
    layout: str = "v3.0"
    renderer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """What was written.

    Attributes:
        path: of the dataset.
        n_episodes, n_frames: in it.
        skipped: why an episode is not, one line each.
    """

    path: Path
    n_episodes: int
    n_frames: int
    skipped: tuple[str, ...]


def export_dataset(
    store: Store,
    run_name: str,
    path: Path,
    options: DatasetOptions,
    *,
    force: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetSummary:
    """Replay a run's judged episodes and write each step of them.

    An episode that does not end here as it was recorded is left out and named: it is not what the policy did.

    Args:
        store: where the run is.
        run_name: of the run.
        path: of the folder to make; it is there whole or not at all.
        options: what goes in.
        force: replace a folder that is there.
        told: hears how many episodes are done, of how many.

    Raises:
        UnknownRun: there is no such run.
        UsageError: it has no recorded actions, its suite is not deterministic, nothing is left to write, or something
            is at `path` already.
        MissingExtra: pyarrow, or PyAV where there are pictures, is not installed.
        EnvStartFailed, NoRenderer: the simulator cannot be opened here.
        StoreError: (a child) the database cannot be read, or the dataset not be written.
    """
    evidence = gather_evidence(store, run_name)
    if evidence.summary.is_imported:
        raise UsageError(f"run {run_name!r} was imported: no actions were recorded, so there is nothing to replay")
    protocol = evidence.suite["protocol"]
    suite = _with_cameras(find_suite(evidence.suite["name"], f"{protocol['name']}/{protocol['version']}"), options)
    check_is_replayable(suite)
    if suite.cameras:
        check_encoder()
    recordings = [r for r in recordings_of(evidence.judged) if options.only in ("", r.attempt.outcome.value)]
    if not recordings:
        wanted = f" that is a {options.only}" if options.only else ""
        raise UsageError(f"run {run_name!r} has no judged episode{wanted}. See `vla-bench show {run_name}`.")
    skipped: list[str] = []
    n_frames = 0
    env_options = EnvOptions(
        cameras=tuple(camera.name for camera in suite.cameras),
        renderer=options.renderer,
        control_mode=evidence.settings.control_mode,
    )
    with new_folder(path, force=force) as folder:
        writer = _writer(folder, suite, options)
        n_written = 0
        with closing(_Simulator(suite, env_options)) as simulator:
            for number, recording in enumerate(recordings):
                try:
                    n_frames += writer.add(_steps(store, simulator, recording), _facts(recording, run_name))
                    n_written += 1
                except (_NotAsRecorded, EnvError) as error:
                    simulator.close()
                    skipped.append(f"{_named(recording)}: {' '.join(str(error).split())}")
                told(number + 1, len(recordings))
        if not n_written:
            raise UsageError(f"nothing of run {run_name!r} can be replayed here: {skipped[0]}")
        writer.finish()
    return DatasetSummary(path=path, n_episodes=n_written, n_frames=n_frames, skipped=tuple(skipped))


def _with_cameras(suite: Suite, options: DatasetOptions) -> Suite:
    known = {camera.name: camera for camera in suite.cameras}
    names = tuple(known) if options.cameras is None else options.cameras
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"suite {suite.name!r} has no camera {unknown[0]!r}; it has: {', '.join(known) or 'none'}")
    cameras = [known[name] for name in names]
    if options.size:
        cameras = [replace(camera, height=options.size, width=options.size) for camera in cameras]
    return replace(suite, cameras=tuple(cameras))


def _writer(folder: Path, suite: Suite, options: DatasetOptions) -> DatasetWriter:
    return DatasetWriter(
        folder,
        fps=options.fps,
        state_names=[f"{key}_{i}" for key, n in suite.state.items() for i in range(n)],
        action_names=[f"action_{i}" for i in range(suite.action.n_entries)],
        cameras={camera.name: (camera.height, camera.width) for camera in suite.cameras},
        robot=suite.name,
        layout=options.layout,
    )


def _facts(recording: Recording, run_name: str) -> dict[str, Any]:
    episode, attempt = recording.episode, recording.attempt
    return {
        "run": run_name,
        "episode": episode.id,
        "suite": episode.suite,
        "protocol": episode.protocol,
        "task": episode.task,
        "trial": episode.trial,
        "repeat": episode.repeat,
        "outcome": attempt.outcome.value,
        "trace": recording.trace_digest,
    }


def _named(recording: Recording) -> str:
    episode = recording.episode
    return f"episode {episode.id} ({episode.task}, trial {episode.trial})"


class _NotAsRecorded(Exception):
    """The replay is not what was recorded; nothing of it is written."""


class _Simulator:
    """An env that is opened when it is first wanted, and again after it was closed."""

    def __init__(self, suite: Suite, options: EnvOptions) -> None:
        self.suite, self._options = suite, options
        self.control_mode = options.control_mode
        self._env: EnvHandle | None = None

    def open(self) -> EnvHandle:
        if self._env is None:
            self._env = open_env(self.suite, self._options)
        return self._env

    def close(self) -> None:
        env, self._env = self._env, None
        if env is not None:
            env.close()


def _steps(store: Store, simulator: _Simulator, recording: Recording) -> Iterator[Step]:
    """Replay step by step: what was seen before each action, the action, and what came of it."""
    trace = store.trace(recording.trace_digest) if recording.trace_digest else None
    if recording.ends_in_fault:
        raise _NotAsRecorded("it ended in a fault, not by the rule of its suite")
    faults = list(faults_of(recording, trace, simulator.suite, simulator.control_mode))
    if trace is None or faults:
        raise _NotAsRecorded(faults[0] if faults else "it has no actions")
    env = simulator.open()
    state = env.reset(recording.episode)
    for action in trace.actions:
        if state.is_over:
            raise _NotAsRecorded("the replay is over before its recorded actions are")
        before, state = state, env.advance(action[None])
        yield Step(
            instruction=before.instruction,
            state=np.concatenate([before.state[key] for key in simulator.suite.state] or [np.zeros(0, np.float32)]),
            action=action,
            images=before.images,
            reward=state.reward,
            success=state.success,
            done=state.is_over,
        )
    replayed = Outcome.SUCCESS if state.success else Outcome.FAILURE
    if not state.is_over or replayed is not recording.attempt.outcome:
        found = replayed.value if state.is_over else "an episode that is not over"
        raise _NotAsRecorded(f"it was recorded as {recording.attempt.outcome.value} and is {found} here")
