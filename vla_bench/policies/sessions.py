"""What a server knows of a session: which rollout it is in, and its last answer, for a request that is repeated."""

from __future__ import annotations

import uuid

from vla_bench.spec.errors import BadRequest, PolicyError, SessionLost
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity

__all__ = ["SessionRecord", "new_id", "unknown_session"]


def new_id() -> str:
    """A fresh id for a session, a server process or a request: 32 hexadecimal digits, never used before."""
    return uuid.uuid4().hex


def unknown_session(session: str) -> SessionLost:
    """The error for a session that was never opened here, was closed, or expired."""
    return SessionLost(f"the policy server does not know session {session!r}: it was restarted, or the session expired")


class SessionRecord:
    """The rules of one session: reset first, questions only of that rollout, steps never backwards, each answered once.

    Attributes:
        id: of the session.
    """

    __slots__ = ("_answer", "_answered", "_last_step", "_rollout", "id")

    def __init__(self, session: str) -> None:
        self.id = session
        self._rollout: tuple[str, int, int] | None = None
        self._last_step = 0
        self._answered: Identity | None = None
        self._answer: ActionChunk | PolicyError | None = None

    def suspend(self) -> None:
        """Take no questions: a reset has begun. What was answered before is forgotten."""
        self._rollout = None
        self._answered = self._answer = None

    def start(self, episode: EpisodeInfo) -> None:
        """Take questions of this episode, attempt and stage: the reset has succeeded."""
        if episode.stage == 0:
            self._last_step = 0
        self._rollout = (episode.episode, episode.attempt, episode.stage)

    def recall(self, identity: Identity) -> ActionChunk | PolicyError | None:
        """The answer already given to this request, if it is the last one.

        Raises:
            BadRequest: the request's id was used for another question.
        """
        if self._answered is None or identity.request != self._answered.request:
            return None
        if identity != self._answered:
            raise reused_request(identity, self._answered)
        return self._answer

    def admit(self, identity: Identity) -> None:
        """Take a new question.

        Raises:
            BadRequest: no successful reset came before, it is of another rollout or stage, or its step lies behind.
        """
        asked = (identity.episode, identity.attempt, identity.stage)
        if self._rollout is None:
            raise BadRequest(f"session {self.id!r} has not been reset: reset it before the first question")
        if asked != self._rollout:
            episode, attempt, stage = self._rollout
            raise BadRequest(
                f"a question of episode {identity.episode!r}, attempt {identity.attempt}, stage {identity.stage}, but "
                f"the session was last reset to episode {episode!r}, attempt {attempt}, stage {stage}"
            )
        if identity.step < self._last_step:
            raise BadRequest(f"a question at step {identity.step} after one at {self._last_step}: steps never go back")
        self._last_step = identity.step

    def remember(self, identity: Identity, answer: ActionChunk | PolicyError) -> None:
        """Keep the answer, until the next one or a reset, for a request that is repeated after a lost reply."""
        self._answered, self._answer = identity, answer


def reused_request(identity: Identity, first: Identity) -> BadRequest:
    """The error for two different questions under one request id."""
    return BadRequest(f"request id {identity.request!r} was used for another question: {first}, now {identity}")
