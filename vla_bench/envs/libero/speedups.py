"""Which shortcuts are taken. Every one leaves all bits as they are; each can be switched off to see that."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from vla_bench.spec.errors import UsageError

__all__ = ["Speedups"]

_VARIABLE = "VLA_BENCH_LIBERO_SPEEDUPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedups:
    """The shortcuts, all of them on by default. One more, pictures only when asked for, is `EnvOptions.lazy`.

    Attributes:
        soft_reset: an episode begins in the scene of the last one, repaired; else the scene is compiled anew.
        remembered_draws: the random draws of earlier trials are replayed once and remembered; else every reset before
            the present one is played in full.
        remembered_passes: a new scene's first forward passes always give the solver the same start, which is
            remembered; else they are made at every reset.
        stages: robosuite runs three forward passes for one physics step at one position and velocity; the second and
            third reuse what depends on these two alone, and no sensor is computed.
        culling: a software renderer is not given what a picture cannot show.
        controller: the torques come from the same arithmetic without robosuite's look-ups.
    """

    soft_reset: bool = True
    remembered_draws: bool = True
    remembered_passes: bool = True
    stages: bool = True
    culling: bool = True
    controller: bool = True

    @classmethod
    def chosen(cls) -> Speedups:
        """Read `VLA_BENCH_LIBERO_SPEEDUPS`: `none`, or names separated by commas; all where it is not set.

        Raises:
            UsageError: a name is unknown.
        """
        text = os.environ.get(_VARIABLE, "").strip()
        names = [field.name for field in fields(cls)]
        if not text:
            return cls()
        wanted = set() if text == "none" else {name.strip() for name in text.split(",")}
        if unknown := sorted(wanted - set(names)):
            raise UsageError(f"{_VARIABLE} names {unknown[0]!r}; it takes none, or some of: {', '.join(names)}")
        return cls(**{name: name in wanted for name in names})
