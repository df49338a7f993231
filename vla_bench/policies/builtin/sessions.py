"""State per session, and the checks of options, that the built-in policies share."""

from __future__ import annotations

import math
from typing import Any, Final, Generic, TypeVar

from vla_bench.spec.errors import UsageError
from vla_bench.spec.messages import Observation

__all__ = ["BATCH_LIMIT", "Sessions", "count_option", "size_option"]

State = TypeVar("State")

BATCH_LIMIT: Final = 1024
"""A forward pass of a built-in policy is a loop over rows: no batch is too large."""


class Sessions(Generic[State]):
    """One value per session, from its `reset` to its `close`."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def begin(self, session: str, state: State) -> None:
        """Replace what is known of a session."""
        self._states[session] = state

    def of(self, observation: Observation) -> State:
        """The state of the session that asks.

        Raises:
            LookupError: the session was never reset.
        """
        session = observation.identity.session
        try:
            return self._states[session]
        except KeyError:
            raise LookupError(f"session {session!r} asks for an action before its first reset") from None

    def forget(self, session: str) -> None:
        """Drop a session; one that is not known is no error."""
        self._states.pop(session, None)


def count_option(policy: str, name: str, value: Any) -> int:
    """Check an option that counts something.

    Raises:
        UsageError: it is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"policy {policy!r}: option {name} is a whole number of at least 1, not {value!r}")
    return value


def size_option(policy: str, name: str, value: Any) -> float:
    """Check an option that is a size.

    Raises:
        UsageError: it is not a finite number of at least 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value >= 0):
        raise UsageError(f"policy {policy!r}: option {name} is a finite number of at least 0, not {value!r}")
    return float(value)
