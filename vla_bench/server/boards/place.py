"""Which board a run belongs to, and whether it may be ranked there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vla_bench.envs.registry import find_suite
from vla_bench.results.runs import RunSummary
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import VlaBenchError

__all__ = [
    "AVG_LENGTH",
    "ORIGINAL",
    "RATE",
    "STAND_IN",
    "Placement",
    "board_slug",
    "family_key",
    "place",
    "registered_ids",
    "registered_plan",
    "renderer_class",
]

ORIGINAL, STAND_IN = "original", "stand-in"
RATE, AVG_LENGTH = "rate", "avg_length"

_RENDERERS = {
    "egl-gpu": "gpu",
    "cgl": "gpu",
    "glfw": "gpu",
    "egl-software": "software",
    "egl-llvmpipe": "software",
    "osmesa": "software",
    "tiny": "tiny",
}
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "lavapipe", "software")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a run stands.

    Attributes:
        suite, protocol, renderer_class, assets: the board.
        title: of the suite.
        form: `rate` or `avg_length`.
        n_stages: subtasks of a chain; 1 for a rate.
        plan_hash: that every ranked run of this board has; empty where the suite is not registered here, so that the
            first complete run decides.
        unranked: why it cannot be ranked, whatever its outcome; empty where it can.
    """

    suite: str
    protocol: str
    renderer_class: str
    assets: str
    title: str
    form: str
    n_stages: int
    plan_hash: str
    unranked: str

    @property
    def slug(self) -> str:
        """`suite/protocol/renderer-class/assets`."""
        return board_slug(self.suite, self.protocol, self.renderer_class, self.assets)


def board_slug(suite: str, protocol: str, renderer: str, assets: str) -> str:
    """The address of a board, `libero_goal/openpi-1/gpu/original`: four parts of letters, digits, `_`, `.` and `-`."""
    return "/".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", part) or "-" for part in (suite, protocol, renderer, assets))


def family_key(name: str) -> str:
    """What policies of one family have in common: lower case letters and digits, one underscore between words."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:200] or "unnamed"


def renderer_class(machines: Iterable[Mapping[str, Any]]) -> str:
    """The class of what drew the pictures: `gpu`, `software`, `tiny` or `none`; `mixed` where there are several.

    Pictures differ between classes by more than noise (PyBullet's own renderer draws no shadow of a GPU's kind), so
    that scores of one class say little of another.

    Args:
        machines: plain fingerprints of the run's attempts.
    """
    found = {_class_of(machine.get("renderer") or {}) for machine in machines}
    return found.pop() if len(found) == 1 else ("mixed" if found else "none")


def place(summary: RunSummary, suite: Mapping[str, Any], machines: Iterable[Mapping[str, Any]]) -> Placement:
    """Find the board of a run.

    Args:
        summary: of the run, whole.
        suite: plain content of the suite as it was run.
        machines: plain fingerprints of its attempts.
    """
    chains = summary.chains
    renderer = renderer_class(machines)
    plan_hash = registered_plan(summary.suite, summary.protocol)
    return Placement(
        suite=summary.suite,
        protocol=summary.protocol,
        renderer_class=renderer,
        assets=STAND_IN if summary.standin else ORIGINAL,
        title=str(suite.get("title") or summary.suite),
        form=AVG_LENGTH if chains else RATE,
        n_stages=chains.n_stages if chains else 1,
        plan_hash=plan_hash,
        unranked=_why_unranked(summary, suite, renderer, plan_hash),
    )


def registered_plan(suite: str, protocol: str) -> str:
    """The plan hash of a suite that is registered here; empty for any other."""
    return _registered(suite, protocol)[0]


def registered_ids(suite: str, protocol: str) -> frozenset[str]:
    """The ids of that plan's episodes; none for a suite that is not registered here."""
    return _registered(suite, protocol)[1]


@lru_cache(maxsize=256)
def _registered(suite: str, protocol: str) -> tuple[str, frozenset[str]]:
    """Laid out once per process: half a second for ten thousand episodes."""
    try:
        plan = make_plan(find_suite(suite, protocol))
    except VlaBenchError:
        return "", frozenset()
    return plan.plan_hash, frozenset(episode.id for episode in plan.episodes)


def _why_unranked(summary: RunSummary, suite: Mapping[str, Any], renderer: str, plan_hash: str) -> str:
    if summary.is_oracle:
        return "an oracle: it reads the simulator's state"
    if summary.is_imported:
        return f"imported from {summary.origin.get('tool', 'another harness')}: no recorded actions, nothing to replay"
    if summary.standin:
        return f"stand-in assets: {summary.standin}"
    if renderer == "mixed":
        return "its pictures come from several classes of renderers"
    if summary.plan_hash == plan_hash:
        return ""
    if len(summary.per_task) < summary.n_suite_tasks:
        return f"its plan has {len(summary.per_task)} of the suite's {summary.n_suite_tasks} tasks"
    n_trials = int(suite["protocol"]["n_trials"])
    if summary.n_repeats > 1 or any(task.n_planned != n_trials for task in summary.per_task):
        return f"its plan has not exactly the protocol's {n_trials} trials of every task"
    return "its plan is not the protocol's own: other seeds or initial states" if plan_hash else ""


def _class_of(renderer: Mapping[str, Any]) -> str:
    if not renderer:
        return "none"
    if any(word in str(value).lower() for value in renderer.values() for word in _SOFTWARE):
        return "software"
    return _RENDERERS.get(str(renderer.get("name", "")), "gpu")
