"""Marks of trust: what a number rests on. They are computed from replay and challenge rows, and never set by hand."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["DOES_NOT_PROVE", "PROVES", "RANK_CLASS", "Mark", "MarkFacts"]


class Mark(enum.StrEnum):
    """From weak to strong."""

    PUBLISHED = "published"
    SELF_REPORTED = "self-reported"
    REPLAYED = "replayed"
    RE_RUN = "re-run"


PROVES = {
    Mark.PUBLISHED: "A paper prints this number. No episodes are here.",
    Mark.SELF_REPORTED: (
        "A complete bundle is here: the plan, every episode, and aggregates that this server computed anew."
    ),
    Mark.REPLAYED: (
        "This server chose episodes after the upload and replayed their recorded actions: states and outcomes agree."
    ),
    Mark.RE_RUN: (
        "Maintainers ran the registered policy, pinned by digest, on a plan that was drawn after its registration."
    ),
}
DOES_NOT_PROVE = {
    Mark.PUBLISHED: "Neither the protocol nor the count behind it can be checked here.",
    Mark.SELF_REPORTED: "It does not prove that the recorded actions give these outcomes.",
    Mark.REPLAYED: (
        "It does not prove that the policy chose these actions from pictures: those of an oracle replay as well."
    ),
    Mark.RE_RUN: "It does not prove that the policy was not trained on the initial states of the public plan.",
}
RANK_CLASS = {
    Mark.PUBLISHED: "published",
    Mark.SELF_REPORTED: "self-reported",
    Mark.REPLAYED: "verified",
    Mark.RE_RUN: "verified",
}
"""Rows are ranked among those of their class only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFacts:
    """A mark with what it was computed from.

    Attributes:
        mark: the strongest that the facts allow.
        text: the facts in a sentence: `59 replayed of 500, 0 deviating: at most 5 % deviate (95 %)`.
        at: when the last of the facts came about; empty where there is none.
        n_replayed, n_deviating, n_pending: episodes that the server drew, by what became of them.
        n_episodes: of the run; 0 for a published figure.
        deviating_at_most: share of episodes that may deviate, 95 %; None where nothing was replayed or one deviates.
        challenge: `k/n` of the maintainers' own run, empty without one.
    """

    mark: Mark
    text: str = ""
    at: str = ""
    n_replayed: int = 0
    n_deviating: int = 0
    n_pending: int = 0
    n_episodes: int = 0
    deviating_at_most: float | None = None
    challenge: str = ""

    @property
    def has_tick(self) -> bool:
        """Whether maintainers ran it themselves: the only mark with a tick."""
        return self.mark is Mark.RE_RUN
