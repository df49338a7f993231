"""The `act()` API: what a policy's author writes (`Policy`), and what a run talks to (`PolicyConnection`, …)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["Deadlines", "Policy", "PolicyConnection", "PolicySession"]


@runtime_checkable
class Policy(Protocol):
    """Anything that answers `act()`. A server calls it from one thread; it never sees two calls at once.

    Whatever a method raises becomes a `policy_error` of the episodes concerned, never a failure.
    """

    def info(self) -> PolicyInfo:
        """What it expects and returns; constant for the life of the object."""
        ...

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Start an episode, or a further stage of one: drop the session's recurrent state, take the `policy_seed`."""
        ...

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """Answer up to `info().batch_limit` observations of different sessions, in order.

        Where it raises over several observations, each of them is asked again alone: whoever keeps recurrent state
        changes it when the whole batch is answered.

        Returns:
            One `ActionChunk` per observation: actions float32 `[k, A]`, `1 <= k <= info().chunk_length`.
        """
        ...

    def close(self, session: str) -> None:
        """Forget a session."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a run waits for a policy, seconds; whole answers, however slowly their bytes drip.

    Attributes:
        connect_s: to reach the server and read its handshake.
        first_act_s: for the first `act` and `reset` of a connection (a model compiles or loads).
        act_s: for each later `act` and `reset`.
    """

    connect_s: float = 10.0
    first_act_s: float = 300.0
    act_s: float = 30.0


class PolicySession(Protocol):
    """One rollout's line to a policy. Not shared between threads. Methods raise the children of `PolicyError`."""

    @property
    def id(self) -> str:
        """The id that the server gave; part of every `Identity`."""
        ...

    def reset(self, episode: EpisodeInfo) -> None:
        """Start an episode or a further stage."""
        ...

    def act(self, observation: Observation) -> ActionChunk:
        """Ask once. The reply's identity has been compared with the request's; its actions are unchecked numbers.

        Raises:
            StaleReply: the reply belongs to something else.
            PolicyTimeout, ServerUnreachable, SessionLost, PolicyRaised, BadReply, BadRequest: see there.
            MessageTooLarge: the question or its answer is.
        """
        ...

    def close(self) -> None:
        """Tell the server to forget the session; never raises."""
        ...


class PolicyConnection(Protocol):
    """A policy that has been reached: in another process by URL, or in this one."""

    @property
    def info(self) -> PolicyInfo:
        """The handshake, read when the connection was made."""
        ...

    def open_session(self) -> PolicySession:
        """Open a session; its server must still be the policy of the handshake.

        Raises:
            PolicyChanged: another policy answers now.
            ServerUnreachable, PolicyTimeout, Unauthorized: see there.
        """
        ...

    def close(self) -> None:
        """Free sockets; safe to call twice."""
        ...
