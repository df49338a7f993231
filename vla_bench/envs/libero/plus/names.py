"""What the name of a LIBERO-Plus task says: upstream writes every perturbation into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

__all__ = ["DIMENSIONS", "KINDS", "NEUTRAL_VIEW", "NOISE_KINDS", "Kind", "Variant", "parse_name"]

NEUTRAL_VIEW: Final = (0, 0, 100, 0, 0)
"""The view of a task whose camera is left where it is. Upstream rounds it all the same; see `cameras`."""
NOISE_KINDS: Final = ("motion_blur", "gaussian_blur", "zoom_blur", "fog", "glass_blur")
"""Ten severities each: noise 1–10 is motion blur of severity 1–10, 11–20 Gaussian blur, and so on."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of variant is written.

    Attributes:
        dimension: upstream's label for it.
        suffix: what follows the base task's name; `{}` stands for the variant's number.
        number: pattern of that number.
        needs_archive: whether it needs scenes, textures or objects that only upstream's archive has.
    """

    dimension: str
    suffix: str
    number: str = r"\d+"
    needs_archive: bool = False


_VIEW: Final = "_view_0_0_100_0_0_initstate_"
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "view": Kind("Camera Viewpoints", "_view_{}_initstate_0", r"\d+_\d+_\d+_\d+_\d+"),
        "initstate": Kind("Robot Initial States", f"{_VIEW}{{}}", r"[1-9]\d*"),
        "language": Kind("Language Instructions", f"_language_{{}}{_VIEW}0"),
        "light": Kind("Light Conditions", "_light_{}", needs_archive=True),
        # A bare `_table_` is part of base names as well: `…_from_table_center_…`.
        "table": Kind("Background Textures", "_table_{}", needs_archive=True),
        "tb": Kind("Background Textures", "_tb_{}", needs_archive=True),
        "noise": Kind("Sensor Noise", f"{_VIEW}0_noise_{{}}"),
        "add": Kind("Objects Layout", "_add_{}", needs_archive=True),
        "level": Kind("Objects Layout", "_level{}", r"\d+_sample\d+"),
        "moved": Kind("Objects Layout", "_moved_level{}", r"\d+_sample\d+"),
    }
)
"""Kind of variant → how it is written. The longer of two suffixes that end alike comes first in `_PATTERN`."""
DIMENSIONS: Final = tuple(dict.fromkeys(kind.dimension for kind in KINDS.values()))
"""The seven dimensions, by upstream's labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One task, read from its name.

    Attributes:
        name: the task's, as upstream has it.
        base_task: the LIBERO task that it is a variant of.
        kind: key of `KINDS`.
        number: the variant's number as written: `12`, `30_15_110_5_352`, `3_sample1`.
    """

    name: str
    base_task: str
    kind: str
    number: str

    @property
    def dimension(self) -> str:
        """Upstream's label."""
        return KINDS[self.kind].dimension

    @property
    def needs_archive(self) -> bool:
        """Whether it needs upstream's archive of scenes, textures and objects."""
        return KINDS[self.kind].needs_archive

    @property
    def has_own_scene(self) -> bool:
        """Whether it has a BDDL file and a model of its own; else it runs on its base task's model."""
        return self.kind in ("light", "table", "tb", "add", "level", "moved")

    @property
    def has_own_state(self) -> bool:
        """Whether it has an initial state of its own; else it starts from its base task's states."""
        return self.kind in ("add", "level", "moved")

    @property
    def bddl_stem(self) -> str:
        """Name of its BDDL file without the ending: there is none for what stands behind `_view_`."""
        return self.name if self.has_own_scene else self.name.partition("_view_")[0]

    @property
    def view(self) -> tuple[int, int, int, int, int]:
        """Camera: horizontal and vertical angle, scale in percent, two angles of the camera in place; degrees."""
        if self.kind != "view":
            return NEUTRAL_VIEW
        horizontal, vertical, scale, rotation, tilt = map(int, self.number.split("_"))
        return horizontal, vertical, scale, rotation, tilt

    @property
    def robot(self) -> int:
        """Which of the 500 initial joint positions, 0 for the robot's own."""
        return int(self.number) if self.kind == "initstate" else 0

    @property
    def noise(self) -> int:
        """Which of the 50 picture noises, 0 for none."""
        return int(self.number) if self.kind == "noise" else 0

    def params(self) -> dict[str, Any]:
        """What an episode's row says of its perturbation, plain JSON values."""
        params: dict[str, Any] = {"variant": self.kind, "number": self.number}
        if self.kind == "view":
            params["view"] = list(self.view)
        if self.noise:
            params["noise"] = NOISE_KINDS[(self.noise - 1) // 10]
            params["severity"] = (self.noise - 1) % 10 + 1
        return params


def _alternatives() -> str:
    # `_moved_level…` also ends as `_level…` does: the first alternative that fits wins.
    order = sorted(KINDS, key=lambda kind: -len(KINDS[kind].suffix))
    parts = []
    for kind in order:
        before, _, after = KINDS[kind].suffix.partition("{}")
        parts.append(f"{re.escape(before)}(?P<{kind}>{KINDS[kind].number}){re.escape(after)}")
    return "|".join(parts)


_PATTERN: Final = re.compile(rf"(?P<base_task>.+?)(?:{_alternatives()})")


def parse_name(name: str) -> Variant:
    """Read a task's name.

    Raises:
        ValueError: it is not the name of a LIBERO-Plus task.
    """
    match = _PATTERN.fullmatch(name)
    if match is None or match.lastgroup is None:
        raise ValueError(f"{name!r} is not the name of a LIBERO-Plus task")
    kind = next(kind for kind in KINDS if match[kind] is not None)
    return Variant(name=name, base_task=match["base_task"], kind=kind, number=match[kind])
