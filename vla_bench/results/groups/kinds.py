"""How a score is averaged over runs: four kinds, each with a name that carries its numbers."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vla_bench.spec.errors import UsageError

__all__ = ["GroupKind", "Member", "protocol_name"]


class GroupKind(enum.StrEnum):
    """What the runs of a group differ in."""

    TRAINING_SEEDS = "training_seeds"
    """trainings of one recipe under several seeds: their spread says what a new training would give"""
    TOP_CHECKPOINTS = "top_checkpoints"
    """the best checkpoints of one training, chosen by this very suite: an optimistic score"""
    LAST_CHECKPOINTS = "last_checkpoints"
    """the last checkpoints of one training, fixed before any was evaluated"""
    EVALUATION_SEEDS = "evaluation_seeds"
    """one checkpoint under several policy seeds"""

    @property
    def unit(self) -> str:
        """What is counted: `training`, `checkpoint`, `evaluation`."""
        return _UNITS[self]


_UNITS = {
    GroupKind.TRAINING_SEEDS: "training",
    GroupKind.TOP_CHECKPOINTS: "checkpoint",
    GroupKind.LAST_CHECKPOINTS: "checkpoint",
    GroupKind.EVALUATION_SEEDS: "evaluation",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A run that is to join a group.

    Attributes:
        run: its name.
        label: the training seed or checkpoint that it evaluated; empty where the digest of its weights says it.
    """

    run: str
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Member:
        """Read `RUN` or `RUN=LABEL`.

        Raises:
            UsageError: there is no name before the sign.
        """
        run, _, label = text.partition("=")
        if not run.strip():
            raise UsageError(f"a run of a group is written RUN or RUN=LABEL, not {text!r}")
        return cls(run.strip(), label.strip())


def protocol_name(kind: GroupKind | None, n_units: int, n_rollouts: str) -> str:
    """`top_checkpoints/3x20`: kind, what is averaged over, roll-outs per task of each; `single/1x50` for one run."""
    return f"{'single' if kind is None else kind.value}/{n_units}x{n_rollouts}"
