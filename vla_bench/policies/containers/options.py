"""How a policy's container is started: GPUs, mounts, variables, the engine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches

__all__ = ["ContainerOptions"]

_GPUS: Final = re.compile(r"auto|all|none|\d+(,\d+)*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """The key `container:` of a policy's file.

    Attributes:
        gpus: `auto` (all of them where there are any), `all`, `none`, or indices: `0,1`.
        mounts: folders and files of this machine that it sees, `SOURCE:TARGET`, read-only; `SOURCE:TARGET:rw` else.
        env: names of environment variables that are passed on; their values stay out of every command line.
        engine: `docker`, `podman`, `apptainer`, or a path to one; the first that works where empty.
        shm_gib: size of its shared memory, GiB.
    """

    gpus: str = "auto"
    mounts: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    engine: str = ""
    shm_gib: float = 1.0

    def __post_init__(self) -> None:
        if not _GPUS.fullmatch(self.gpus):
            raise UsageError(f"container: gpus is auto, all, none or indices such as 0,1, not {self.gpus!r}")
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                raise UsageError(f"container: env names variables that are passed on, and {name!r} is no name of one")
        if not 0 < self.shm_gib <= 1024:
            raise UsageError(f"container: shm_gib is more than 0 and at most 1024, not {self.shm_gib:g}")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], beside: Path) -> ContainerOptions:
        """Read the key of a policy's file; sources of mounts are looked for beside it.

        Raises:
            UsageError: a key is unknown, a value is of another kind, or a source does not exist.
        """
        known = [field.name for field in fields(cls)]
        for key in content:
            if key not in known:
                near = near_matches(key, known)
                hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
                raise UsageError(f"container: unknown key {key!r}.{hint} Known: {', '.join(known)}")
        mounts = tuple(_mount(item, beside) for item in _texts(content, "mounts"))
        shm = content.get("shm_gib", 1.0)
        if not isinstance(shm, (int, float)):
            raise UsageError(f"container: shm_gib is a number, not {shm!r}")
        return cls(
            gpus=str(content.get("gpus", "auto")),
            mounts=mounts,
            env=tuple(_texts(content, "env")),
            engine=str(content.get("engine", "")),
            shm_gib=float(shm),
        )

    def check_variables(self) -> None:
        """Raise where a variable that is to be passed on is not set.

        Raises:
            UsageError: the message has the line that sets it.
        """
        for name in self.env:
            if name not in os.environ:
                raise UsageError(f"container: {name} is to be passed on and is not set. Type: export {name}=…")


def _texts(content: Mapping[str, Any], key: str) -> list[str]:
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"container: {key} is a list of texts, not {value!r}")
    return value


def _mount(text: str, beside: Path) -> str:
    """`source:target:ro`, the source absolute."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or parts[2:] not in ([], ["ro"], ["rw"]):
        raise UsageError(f"container: a mount is SOURCE:/TARGET or SOURCE:/TARGET:rw, not {text!r}")
    source = (beside / Path(parts[0]).expanduser()).absolute()
    if not source.exists():
        raise UsageError(f"container: {source} does not exist, and is to be mounted at {parts[1]}")
    return f"{source}:{parts[1]}:{parts[2] if parts[2:] else 'ro'}"
