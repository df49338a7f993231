"""A policy in this process as a `PolicyConnection`: no server, no copies, and the same rules as over a wire."""

from __future__ import annotations

import contextlib
import threading
from time import perf_counter

from vla_bench.policies.answers import call_act, call_close, call_info, call_reset
from vla_bench.policies.base import Policy
from vla_bench.policies.sessions import SessionRecord, new_id, unknown_session
from vla_bench.spec.errors import PolicyError
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["InlineConnection", "InlineSession"]


class InlineConnection:
    """Calls a policy directly (`PolicyConnection`). Threads may share it: one call reaches the policy at a time.

    The policy gets the very arrays of the observation, and must not write to them. Nothing here can end a call that
    takes too long: deadlines are for servers.
    """

    def __init__(self, policy: Policy) -> None:
        """Read the handshake.

        Raises:
            PolicyRaised, BadReply: from the policy's `info`.
        """
        self._policy = policy
        self._lock = threading.Lock()
        self._sessions: set[InlineSession] = set()
        self._info = call_info(policy)
        self._server = new_id()

    @property
    def info(self) -> PolicyInfo:
        """The handshake."""
        return self._info

    def open_session(self) -> InlineSession:
        """Open a session."""
        session = InlineSession(self)
        self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close the sessions that are still open; safe to call twice."""
        for session in list(self._sessions):
            session.close()


class InlineSession:
    """A session with a policy in this process (`PolicySession`)."""

    def __init__(self, connection: InlineConnection) -> None:
        self._connection = connection
        self._policy, self._lock, self._server = connection._policy, connection._lock, connection._server
        self._record = SessionRecord(new_id())
        self._is_closed = False

    @property
    def id(self) -> str:
        """Part of every `Identity`."""
        return self._record.id

    def reset(self, episode: EpisodeInfo) -> None:
        """Start an episode or a further stage.

        Raises:
            PolicyRaised: the policy's `reset` raised; the session takes no question until a reset succeeds.
            SessionLost: it has been closed.
        """
        self._check_open()
        self._record.suspend()
        with self._lock:
            error = call_reset(self._policy, self.id, episode)
        if error is not None:
            raise error
        self._record.start(episode)

    def act(self, observation: Observation) -> ActionChunk:
        """Ask once. The same request again gets the same answer, from memory. The actions are unchecked numbers.

        Raises:
            BadRequest: the identity does not follow the last reset, or its request id was used otherwise.
            PolicyRaised, BadReply, ActionError, StaleReply: from the policy's `act`.
            SessionLost: it is of another session, or this one has been closed.
        """
        began = perf_counter()
        identity, record = observation.identity, self._record
        self._check_open()
        if identity.session != record.id:
            raise unknown_session(identity.session)
        outcome = record.recall(identity)
        if outcome is None:
            record.admit(identity)
            with self._lock:
                answer = call_act(self._policy, (observation,))[0]
            if isinstance(answer, PolicyError):
                outcome = answer
            else:
                server_ms = (perf_counter() - began) * 1000.0
                outcome = ActionChunk(actions=answer, identity=identity, server=self._server, server_ms=server_ms)
            record.remember(identity, outcome)
        if isinstance(outcome, PolicyError):
            raise type(outcome)(str(outcome))
        return outcome

    def close(self) -> None:
        """Have the policy forget the session; never raises. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        with self._lock:
            call_close(self._policy, self.id)
        with contextlib.suppress(KeyError):
            self._connection._sessions.remove(self)

    def _check_open(self) -> None:
        if self._is_closed:
            raise unknown_session(self.id)
