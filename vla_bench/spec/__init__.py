"""Pure data and rules that every other room speaks: suites, plans, conventions, messages, settings, outcomes.

Here are the names that the author of a suite or a policy types; the rest is in the modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_bench.spec.conventions import ActionConvention as ActionConvention
    from vla_bench.spec.episode import Episode as Episode
    from vla_bench.spec.episode import Plan as Plan
    from vla_bench.spec.episode import make_plan as make_plan
    from vla_bench.spec.messages import ActionChunk as ActionChunk
    from vla_bench.spec.messages import CameraRequest as CameraRequest
    from vla_bench.spec.messages import EpisodeInfo as EpisodeInfo
    from vla_bench.spec.messages import Observation as Observation
    from vla_bench.spec.messages import PolicyInfo as PolicyInfo
    from vla_bench.spec.outcomes import Outcome as Outcome
    from vla_bench.spec.settings import EvalSettings as EvalSettings
    from vla_bench.spec.suite import Camera as Camera
    from vla_bench.spec.suite import Protocol as Protocol
    from vla_bench.spec.suite import Suite as Suite
    from vla_bench.spec.suite import Task as Task

__all__ = [
    "ActionChunk", "ActionConvention", "Camera", "CameraRequest", "Episode", "EpisodeInfo", "EvalSettings",
    "Observation", "Outcome", "Plan", "PolicyInfo", "Protocol", "Suite", "Task", "make_plan",
]  # fmt: skip

_HOMES = {
    "conventions": ("ActionConvention",),
    "episode": ("Episode", "Plan", "make_plan"),
    "messages": ("ActionChunk", "CameraRequest", "EpisodeInfo", "Observation", "PolicyInfo"),
    "outcomes": ("Outcome",),
    "settings": ("EvalSettings",),
    "suite": ("Camera", "Protocol", "Suite", "Task"),
}


def __getattr__(name: str) -> Any:
    # The command line needs outcomes and errors for its help, and no NumPy.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
