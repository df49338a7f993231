"""How an episode can end, and how a command can end."""

from __future__ import annotations

import enum

__all__ = ["JUDGED", "LOST", "ExitCode", "Outcome"]


class Outcome(enum.StrEnum):
    """The six ends of an episode. Only `SUCCESS` and `FAILURE` are judged and enter a score."""

    SUCCESS = "success"
    FAILURE = "failure"
    POLICY_ERROR = "policy_error"
    ENV_ERROR = "env_error"
    HARNESS_ERROR = "harness_error"
    NOT_RUN = "not_run"

    @property
    def is_judged(self) -> bool:
        """True where the suite's own rule decided: the episode enters the score."""
        return self in JUDGED


JUDGED = frozenset({Outcome.SUCCESS, Outcome.FAILURE})
LOST = frozenset(Outcome) - JUDGED


class ExitCode(enum.IntEnum):
    """What the shell sees. 70 is never 1, so that a crash of ours never reads as a regression."""

    OK = 0
    """complete, passed, equal"""
    CHECK_FAILED = 1
    """the check says no: gate failed, replay differs, doctor found a blocker, submission refused"""
    USAGE = 2
    """bad input: the message has the way out"""
    INCOMPLETE = 3
    """planned episodes have no judged outcome"""
    INCONCLUSIVE = 4
    """too few episodes to answer"""
    INTERNAL = 70
    """a fault of ours"""
    INTERRUPTED = 130
    """stopped by the user; the same command goes on"""
