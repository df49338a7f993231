"""`check_suite`: what a suite must do so that its scores can be trusted.

What no program can see is not checked: that pictures are upright, that instructions fit, that a success rule is fair.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Sequence

import numpy as np
from gymnasium.utils.env_checker import check_env

from vla_bench.envs.base import EnvHandle, EnvOptions, SuiteEnv
from vla_bench.envs.registry import WorkerLimits, family_of, find_suite, open_env
from vla_bench.envs.runtime.limits import DEFAULT_LIMITS
from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import EnvRaised, MissingExtra, SuiteNotInstalled, UsageError
from vla_bench.spec.suite import Suite, Task
from vla_bench.testing.conformance import Expect, Rules
from vla_bench.testing.rollouts import Record, random_actions, roll_out

__all__ = ["check_suite"]

_CHUNK = 4
_DESCRIBE = """
import json, sys
from vla_bench.envs.registry import find_suite
find_suite({name!r}, {protocol!r})
print(json.dumps(sorted(sys.modules)))
"""


def check_suite(
    name: str,
    *,
    protocol: str = "",
    n_episodes: int = 3,
    n_steps: int = 24,
    pictures: bool = True,
    limits: WorkerLimits = DEFAULT_LIMITS,
) -> tuple[str, ...]:
    """Run the whole kit on a registered suite, in real workers.

    Args:
        name: of the suite.
        protocol: its name, the default one where empty.
        n_episodes: how many episodes of the plan are run, of different tasks where there are so many; at least 2.
        n_steps: the most control steps of each of them, under random actions.
        pictures: whether to render; without, nothing that a picture shows is checked.
        limits: of the workers.

    Returns:
        The rules that were checked, as sentences.

    Raises:
        UnknownSuite, UnknownProtocol: no such name.
        SuiteNotInstalled, NoRenderer, EnvStartFailed: it cannot run here.
        ConformanceError: rules are broken; all of them are named.
    """
    suite = find_suite(name, protocol)
    rules = Rules(f"suite {suite.name!r} ({suite.protocol.id})")
    cameras = tuple(camera.name for camera in suite.cameras) if pictures else ()
    # What cannot run here says so now, and not as a broken rule.
    seeing = open_env(suite, EnvOptions(cameras=cameras), limits=limits)
    try:
        _check_description(rules, suite)
        _check_gymnasium(rules, suite)
        _Rollouts(rules, suite, limits, cameras, n_steps).check(seeing, _spread(suite, n_episodes))
    finally:
        seeing.close()
    return rules.finish()


def _spread(suite: Suite, n_episodes: int) -> list[Episode]:
    """The first episodes of the plan, and as the last the second trial of the first one's task, if it has one."""
    n_first = max(n_episodes, 2)
    if min(len(task.initial_states) or 2 for task in suite.tasks) < 2:
        return list(make_plan(suite, n_trials=1).episodes[:n_first])
    plan = make_plan(suite, n_trials=2).episodes
    return [*plan[: min(n_first - 1, len(suite.tasks))], plan[len(suite.tasks)]]


def _check_description(rules: Rules, suite: Suite) -> None:
    family = family_of(suite)
    with rules.rule("describing a suite imports no simulator") as expect:
        code = _DESCRIBE.format(name=suite.name, protocol=suite.protocol.id)
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
        expect(done.returncode == 0, done.stderr.strip()[-300:])
        guilty = set(family.installation.imports) & set(json.loads(done.stdout.splitlines()[-1]))
        expect(not guilty, f"imported {', '.join(sorted(guilty))}")
    with rules.rule("a suite is plain data, equal each time it is described") as expect:
        again = family.suite(suite.name, suite.protocol.id)
        expect(canonical_json(again) == canonical_json(suite), "two descriptions differ")
        expect(pickle.loads(pickle.dumps(suite)) == suite, "it does not survive pickling")
    with rules.rule("the family lists the suite, and its default protocol first") as expect:
        expect(suite.name in family.suite_names(), f"{suite.name!r} is not in suite_names()")
        protocols = list(family.protocol_names(suite.name))
        expect(suite.protocol.id in protocols, f"{suite.protocol.id!r} is not among {protocols}")
        default = family.suite(suite.name).protocol.id
        expect(protocols[0] == default, f"the default is {default!r} and the first is {protocols[0]!r}")
    with rules.rule("tasks have unique ids, instructions, limits and an initial state for every trial") as expect:
        ids = [task.id for task in suite.tasks]
        expect(len(set(ids)) == len(ids) > 0, f"the ids are {ids}")
        faults = [fault for task in suite.tasks for fault in _faults_of_task(task, suite.protocol.n_trials)]
        expect(not faults, "; ".join(faults))


def _faults_of_task(task: Task, n_trials: int) -> list[str]:
    faults = []
    if not all(text.strip() for text in (task.instruction, *task.stages)):
        faults.append(f"{task.id}: an instruction is empty")
    if task.horizon < 1:
        faults.append(f"{task.id}: the horizon is {task.horizon}")
    if 0 < len(task.initial_states) < n_trials:
        faults.append(f"{task.id}: {len(task.initial_states)} initial states for {n_trials} trials")
    return faults


def _check_gymnasium(rules: Rules, suite: Suite) -> None:
    """What holds in this process, where this interpreter has the suite."""
    try:
        env = family_of(suite).make_env(suite, EnvOptions())
    except (MissingExtra, SuiteNotInstalled):
        return
    try:
        with rules.rule("gymnasium's checker is content"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_env(env, skip_render_check=True)
        _check_action_is_left_alone(rules, env)
    finally:
        env.close()


def _check_action_is_left_alone(rules: Rules, env: SuiteEnv) -> None:
    with rules.rule("a step does not change the action that it is given") as expect:
        episode = _spread(env.suite, 2)[0]
        action = random_actions(env.suite, episode, 1)[0]
        before = action.copy()
        env.reset(options={"episode": episode})
        env.step(action)
        expect(np.array_equal(action, before), f"{before.tolist()} became {action.tolist()}")


class _Rollouts:
    """The rules that rollouts in workers show."""

    def __init__(
        self, rules: Rules, suite: Suite, limits: WorkerLimits, cameras: tuple[str, ...], n_steps: int
    ) -> None:
        self.rules = rules
        self.suite = suite
        self.limits = limits
        self.cameras = cameras
        self.n_steps = n_steps

    def check(self, seeing: EnvHandle, episodes: Sequence[Episode]) -> None:
        """Try all of them; `seeing` is a fresh worker with the cameras open."""
        records: list[Record] = []
        with self.rules.rule("states, pictures and digests are as the suite declares them") as expect:
            records = self._run(seeing, episodes)
            faults = [fault for record in records for fault in record.faults]
            expect(not faults, "; ".join(dict.fromkeys(faults)))
        if not records:
            return
        with self.rules.rule("digests tell episodes apart, and an acted on state from the initial one") as expect:
            first, other = records[0], records[-1]
            is_same = len(episodes) > 1 and first.digests[0] == other.digests[0]
            expect(not is_same, "two episodes begin with the same digest")
            expect(len(set(first.digests.values())) > 1, "the digest stays the same under random actions")
        if self.suite.deterministic:
            self._check_bits(seeing, episodes, records)
        self._check_privileged(episodes[0], records[0])
        self._check_end()

    def _open(self, **options: object) -> EnvHandle:
        return open_env(self.suite, EnvOptions(**{"cameras": self.cameras, **options}), limits=self.limits)  # type: ignore[arg-type]

    def _run(self, env: EnvHandle, episodes: Sequence[Episode], chunk: int = _CHUNK, **how: bool) -> list[Record]:
        return [roll_out(env, episode, self.n_steps, chunk=chunk, **how) for episode in episodes]

    def _check_bits(self, seeing: EnvHandle, episodes: Sequence[Episode], records: Sequence[Record]) -> None:
        backwards = episodes[::-1]
        with self.rules.rule("an episode gives the same bits after other episodes, in any order") as expect:
            for record, again in zip(records, reversed(self._run(seeing, backwards)), strict=True):
                expect(not (seen := record.difference(again)), seen)
        with self.rules.rule("an episode gives the same bits in another process") as expect:
            self._compare(expect, episodes[-1:], records[-1:])
        if self.cameras:
            with self.rules.rule("rendering at every step changes neither states nor pictures") as expect:
                self._compare(expect, episodes[:1], records[:1], lazy=False)
            with self.rules.rule("rendering changes no state") as expect:
                self._compare(expect, episodes[:1], records[:1], cameras=())
        with self.rules.rule("how actions are cut into chunks changes nothing") as expect:
            one_by_one = self._run(seeing, episodes[:1], chunk=1)[0]
            expect(not (seen := records[0].difference(one_by_one)), seen)
            with_frames = self._run(seeing, episodes[:1], frames=True)[0]
            expect(not (seen := with_frames.difference(one_by_one)), f"with frames asked for, {seen}")
            missing = one_by_one.pictures.keys() - with_frames.pictures.keys()
            expect(not missing, f"frames asked for inside a chunk did not come: {sorted(missing)[:3]}")

    def _compare(
        self, expect: Expect, episodes: Sequence[Episode], records: Sequence[Record], **options: object
    ) -> None:
        env = self._open(**options)
        try:
            for record, again in zip(records, self._run(env, episodes), strict=True):
                expect(not (seen := record.difference(again)), seen)
        finally:
            env.close()

    def _check_privileged(self, episode: Episode, record: Record) -> None:
        with self.rules.rule("privileged state comes only where the suite has it and it is asked for") as expect:
            try:
                env = self._open(cameras=(), privileged=True)
            except UsageError as error:
                expect(not self.suite.privileged, f"the suite declares it and refuses it: {error}")
                return
            try:
                expect(self.suite.privileged, "the suite does not declare it and gives it")
                state = env.reset(episode)
            finally:
                env.close()
            expect(bool(state.privileged), "nothing came")
            wrong = [key for key, array in state.privileged.items() if array.dtype != np.float64 or array.ndim != 1]
            expect(not wrong, f"{wrong} are not float64 [n]")
            expect(not self.suite.deterministic or state.digest == record.digests[0], "asking for it changes the state")

    def _check_end(self) -> None:
        task = min(self.suite.tasks, key=lambda task: task.horizon)
        episode = make_plan(self.suite, tasks=[task.id], n_trials=1).episodes[0]
        env = self._open(cameras=())
        try:
            with self.rules.rule("an episode ends at success, at the task's own end or at the horizon") as expect:
                state = env.reset(episode)
                expect(not state.privileged and not state.images, "it gives what nobody asked for")
                actions = random_actions(self.suite, episode, task.horizon + 1)
                while not state.is_over and state.step <= task.horizon:
                    state = env.advance(actions[state.step : state.step + _CHUNK])
                expect(
                    state.is_over and state.step <= task.horizon, f"at step {state.step} of {task.horizon} it goes on"
                )
            with self.rules.rule("nothing can be executed after the end") as expect:
                try:
                    env.advance(actions[:1])
                except EnvRaised:
                    return
                expect(False, "advance() was accepted")
        finally:
            env.close()
