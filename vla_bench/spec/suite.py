"""What is evaluated: `Suite`, `Task`, `Protocol`, `Camera`. Pure data; the simulator is elsewhere."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vla_bench.spec.conventions import ActionConvention, ImageConvention
from vla_bench.spec.errors import UnknownProtocol, UnknownTask
from vla_bench.spec.names import match_name

__all__ = ["ActionBounds", "Camera", "Protocol", "Suite", "Task", "Total", "match_protocol"]


class ActionBounds(enum.StrEnum):
    """What happens to an action outside the convention's bounds."""

    HARD = "hard"
    """refused: `ActionError`, outcome `policy_error`"""
    CLIP = "clip"
    """clipped, counted, shown"""
    NONE = "none"
    """passed on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera of a suite.

    Attributes:
        name: the role a policy asks for (`front`, `wrist`, …).
        height, width: size of its pictures uint8 `[height, width, 3]`, pixels.
        source: the simulator's own camera, for the record.
        convention: how the simulator's raw picture lies; the env turns it, policies get upright RGB.
    """

    name: str
    height: int
    width: int
    source: str = ""
    convention: ImageConvention = ImageConvention()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One goal with its instruction and limit.

    Attributes:
        id: unique in the suite (`reach-v3`).
        instruction: the natural-language command; for a staged task, that of the first stage.
        horizon: step limit of an episode, settling steps not counted.
        stages: instructions of the ordered stages (CALVIN's subtasks); empty for a task of one stage.
        tags: facts to group by (`difficulty`, `dimension`, `level`, `base_task`).
        params: variant parameters handed to the env with every episode, plain JSON values.
        initial_states: one per trial where the suite lists them; empty where the env seed alone decides.
    """

    id: str
    instruction: str
    horizon: int
    stages: tuple[str, ...] = ()
    tags: Mapping[str, str | int | None] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    initial_states: tuple[Mapping[str, Any], ...] = ()

    @property
    def n_stages(self) -> int:
        """Number of stages, at least 1."""
        return max(1, len(self.stages))

    def instruction_of(self, stage: int) -> str:
        """The instruction shown in stage `stage` (counted from 0)."""
        return self.stages[stage] if self.stages else self.instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The versioned data that fixes limits, settling, images, trials and seeds. Never changes under its name.

    Attributes:
        name, version: `standard`, 1. Written together as `standard/1`.
        n_trials: trials per task of the full plan.
        base_seed: env seed of trial 0.
        seed_stride: trial i has env seed `base_seed + seed_stride * i`; 0 where all trials of a task share one seed,
            and the trial's number decides what is drawn from it.
        action_bounds: what happens to an action outside the bounds.
        settling_steps: no-op steps before the policy is asked.
        parameters: the suite's own knobs (picture quality, fixture sequence, …), plain JSON values.
        source: where the numbers come from.
    """

    name: str
    version: int
    n_trials: int
    base_seed: int
    action_bounds: ActionBounds
    seed_stride: int = 1
    settling_steps: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "action_bounds", ActionBounds(self.action_bounds))

    @property
    def id(self) -> str:
        """`name/version`."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A score of the whole suite that has a name of its own; given only where every task of the suite was run.

    Attributes:
        name: stable, snake_case (`task_weighted`).
        title: as shown.
        over: tag over whose groups, each the mean of its tasks, the mean is taken; empty for the mean over tasks.
    """

    name: str
    title: str
    over: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named set of tasks under one protocol.

    Attributes:
        name: as typed (`metaworld_mt10`).
        family: the registered entry point that builds its environment (`metaworld`).
        title: one line for people.
        protocol: the data that fixes everything a score depends on, on the suite's side.
        tasks: in the order of the plan.
        cameras: every camera that the protocol renders.
        state: proprioception key → number of entries; float32 `[n]` each.
        action: what an action means here.
        group_by: tags over whose groups a mean of group means is reported beside the mean over tasks.
        totals: scores of the whole suite under names of their own, where one score would be mistaken for another.
        group_notes: tag → value → what a reader must know of that group (`696 of 1,525 tasks`); a group of which the
            suite has no task at all is shown with its note.
        standin: why results are no results (made-up assets); empty for a real suite. Such runs are never submitted.
        scene_tag: tag whose values name what a simulator builds slowly and then keeps (`base_task`), or `task` where
            every task has its own; a run then goes scene by scene. Empty where changing tasks costs nothing.
        privileged: whether oracle policies can ask for simulator truth.
        control_modes: controllers to choose from besides the default one, each with what an action means to it.
        deterministic: whether equal episodes and actions give equal bits (replay is possible).
        provenance: versions, licences and sources of code, assets and instructions, for people.
    """

    name: str
    family: str
    title: str
    protocol: Protocol
    tasks: tuple[Task, ...]
    cameras: tuple[Camera, ...]
    state: Mapping[str, int]
    action: ActionConvention
    group_by: tuple[str, ...] = ()
    totals: tuple[Total, ...] = ()
    group_notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    standin: str = ""
    scene_tag: str = ""
    privileged: bool = False
    control_modes: Mapping[str, ActionConvention] = field(default_factory=dict)
    deterministic: bool = True
    provenance: Mapping[str, str] = field(default_factory=dict)

    def action_of(self, control_mode: str) -> ActionConvention:
        """What an action means to a controller; to the default one where the name is empty or unknown."""
        return self.control_modes.get(control_mode, self.action)

    def task(self, task_id: str) -> Task:
        """Return a task by its id (case, dashes and underscores do not matter).

        Raises:
            UnknownTask: no such task; the message names the near matches.
        """
        known = [task.id for task in self.tasks]
        match = match_name(task_id, known)
        if match is None:
            raise UnknownTask(task_id, known)
        return self.tasks[known.index(match)]


def match_protocol(name: str, known: Sequence[str]) -> str:
    """Match `standard/1` or, for its newest version, `standard`; the first of the known ones where `name` is empty.

    Args:
        name: as typed.
        known: `name/version` of each, older versions of one name before newer ones.

    Raises:
        UnknownProtocol: there is none.
    """
    if not name:
        return known[0]
    by_name = {protocol.partition("/")[0]: protocol for protocol in known}
    match = match_name(name, [*known, *by_name])
    if match is None:
        raise UnknownProtocol(name, known)
    return by_name.get(match, match)
