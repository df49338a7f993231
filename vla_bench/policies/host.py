"""`PolicyHost`: a policy behind sessions, identity rules and batching, without a transport. HTTP and gRPC serve it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final

import structlog

from vla_bench.policies.answers import Answer, call_act, call_close, call_info, call_reset
from vla_bench.policies.base import Policy
from vla_bench.policies.batching import Batcher
from vla_bench.policies.metrics import PolicyMetrics
from vla_bench.policies.sessions import SessionRecord, new_id, reused_request, unknown_session
from vla_bench.policies.thread import PolicyThread
from vla_bench.spec.errors import BadRequest, PolicyError, ServerUnreachable
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation, PolicyInfo

__all__ = ["PolicyHost"]

_STOP_S: Final = 2.0

log = structlog.get_logger(__name__)


class _Asking:
    """A question in flight, and everybody who waits for its answer."""

    __slots__ = ("_waiters", "arrived", "identity")

    def __init__(self, identity: Identity, arrived: float) -> None:
        self.identity = identity
        self.arrived = arrived
        self._waiters: list[asyncio.Future[ActionChunk | PolicyError]] = []

    async def wait(self) -> ActionChunk | PolicyError:
        """Wait for the answer; cancelling one who waits is nothing to the others."""
        waiter: asyncio.Future[ActionChunk | PolicyError] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def settle(self, outcome: ActionChunk | PolicyError) -> None:
        """Hand out the answer."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(outcome)


class _Session:
    __slots__ = ("asking", "n_resets", "record", "touched")

    def __init__(self, record: SessionRecord, now: float) -> None:
        self.record = record
        self.touched = now
        self.n_resets = 0
        self.asking: _Asking | None = None

    @property
    def is_busy(self) -> bool:
        return self.asking is not None or self.n_resets > 0


class PolicyHost:
    """Serves one policy to many sessions. Coroutines belong to one event loop; the policy runs in a thread of its own.

    Attributes:
        info: of the policy, constant.
        digest: of `info`.
        server_id: of this host; a new one for each, so that a restarted server is told from the one before.
        metrics: counters.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        max_wait_s: float = 0.010,
        session_expiry_s: float = 1800.0,
        max_sessions: int = 1024,
    ) -> None:
        """Start the policy's thread and read its handshake.

        Args:
            policy: called from that thread only, one call at a time.
            max_wait_s: the longest wait of a batch for sessions that have not asked, seconds.
            session_expiry_s: a session without a request for so long is closed, seconds.
            max_sessions: sessions open at the same time.

        Raises:
            PolicyRaised, BadReply: from the policy's `info`.
        """
        self._policy = policy
        self._max_wait_s, self._session_expiry_s, self._max_sessions = max_wait_s, session_expiry_s, max_sessions
        self._sessions: dict[str, _Session] = {}
        self._batcher: Batcher | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self.metrics = PolicyMetrics()
        self.server_id: Final = new_id()
        self._thread = PolicyThread()
        try:
            self.info: Final[PolicyInfo] = self._thread.call(call_info, policy)
            self.digest: Final[str] = self.info.digest
        except BaseException:
            self._thread.stop(0.0)
            raise

    @property
    def n_sessions(self) -> int:
        """Sessions open now."""
        return len(self._sessions)

    async def open(self) -> str:
        """Open a session and return its id.

        Raises:
            ServerUnreachable: the server is stopping, or `max_sessions` are open.
        """
        self._check_running()
        if len(self._sessions) >= self._max_sessions:
            self._expire()
        if len(self._sessions) >= self._max_sessions:
            self.metrics.errors[ServerUnreachable.kind] += 1
            raise ServerUnreachable(f"the policy server has no room: {self._max_sessions} sessions are open")
        session = new_id()
        self._sessions[session] = _Session(SessionRecord(session), monotonic())
        self.metrics.n_sessions_opened += 1
        if self._sweep is None:
            self._schedule_sweep(asyncio.get_running_loop())
        return session

    async def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Start an episode or a further stage in a session. A question of it still waiting gets an error.

        Raises:
            SessionLost: no such session.
            PolicyRaised: the policy's `reset` raised; the session takes no question until a reset succeeds.
        """
        self._check_running()
        seat = self._find(session)
        batcher = self._get_batcher()
        seat.record.suspend()
        batcher.forget(session)
        seat.n_resets += 1
        batcher.hold()
        try:
            error = await self._run(call_reset, self._policy, session, episode)
        finally:
            seat.n_resets -= 1
            seat.touched = monotonic()
            batcher.release()
        if error is not None:
            raise self._count(error)
        if seat.n_resets == 0:
            seat.record.start(episode)
        self.metrics.n_resets += 1

    async def act(self, observation: Observation) -> ActionChunk:
        """Answer one question. The same request again gets the same answer, from memory or from the pass in flight.

        Cancelling the caller does not cancel the question: its answer is kept for a retry.

        Raises:
            SessionLost: no such session.
            BadRequest: the identity does not follow the session's last reset, or its request id was used otherwise.
            PolicyRaised, BadReply, ActionError, StaleReply: from the policy's `act`.
        """
        self._check_running()
        identity = observation.identity
        seat = self._find(identity.session)
        try:
            outcome = seat.record.recall(identity)
            if outcome is None:
                outcome = await self._ask(seat, observation)
            else:
                self.metrics.n_repeats += 1
        except BadRequest as error:
            raise self._count(error) from None
        if isinstance(outcome, PolicyError):
            raise self._count(outcome)
        return outcome

    async def close(self, session: str) -> None:
        """Forget a session.

        Raises:
            SessionLost: no such session.
        """
        self._find(session)
        self._close(session)

    async def stop(self) -> None:
        """Close all sessions and end the policy's thread; waits at most two seconds for a policy that is busy."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._sweep is not None:
            self._sweep.cancel()
        for session in list(self._sessions):
            self._close(session)
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(None, self._thread.stop, _STOP_S):
            log.warning("policy_still_busy_at_stop", waited_s=_STOP_S)

    async def _ask(self, seat: _Session, observation: Observation) -> ActionChunk | PolicyError:
        identity = observation.identity
        while (asking := seat.asking) is not None and asking.identity.request != identity.request:
            # Whoever asked before has given up, since a session asks one question at a time.
            await asking.wait()
        seat.touched = monotonic()
        if asking is None:
            seat.record.admit(identity)
            asking = seat.asking = _Asking(identity, seat.touched)
            self._get_batcher().ask(observation, partial(self._deliver, seat, asking))
        elif asking.identity == identity:
            self.metrics.n_repeats += 1
        else:
            raise reused_request(identity, asking.identity)
        return await asking.wait()

    def _deliver(self, seat: _Session, asking: _Asking, answer: Answer) -> None:
        now = monotonic()  # finer than the clock of the event loop
        if isinstance(answer, PolicyError):
            outcome: ActionChunk | PolicyError = answer
        else:
            outcome = ActionChunk(
                actions=answer,
                identity=asking.identity,
                server=self.server_id,
                server_ms=(now - asking.arrived) * 1000.0,
            )
            self.metrics.add_answer(now - asking.arrived)
        seat.asking = None
        seat.touched = now
        if not seat.n_resets:
            seat.record.remember(asking.identity, outcome)
        asking.settle(outcome)

    def _start_pass(self, batch: Sequence[Observation], done: Callable[[list[Answer]], None]) -> None:
        self.metrics.batch_sizes[len(batch)] += 1
        self._thread.start(asyncio.get_running_loop(), done, call_act, self._policy, batch)

    async def _run(self, function: Callable[..., PolicyError | None], *args: object) -> PolicyError | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[PolicyError | None] = loop.create_future()
        self._thread.start(loop, partial(_resolve, future), function, *args)
        return await future

    def _get_batcher(self) -> Batcher:
        # Made at the first request, since it belongs to the event loop, which may start after the host is made.
        if self._batcher is None:
            limit = self.info.batch_limit
            self._batcher = Batcher(self._start_pass, batch_limit=limit, max_wait_s=self._max_wait_s)
        return self._batcher

    def _find(self, session: str) -> _Session:
        seat = self._sessions.get(session)
        if seat is None:
            raise self._count(unknown_session(session))
        return seat

    def _check_running(self) -> None:
        if self._is_stopped:
            raise ServerUnreachable("the policy server is stopping")

    def _close(self, session: str) -> None:
        del self._sessions[session]
        if self._batcher is not None:
            self._batcher.forget(session)
        self._thread.start(asyncio.get_running_loop(), _ignore, call_close, self._policy, session)

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = loop.call_later(min(60.0, self._session_expiry_s / 4), self._sweep_now, loop)

    def _sweep_now(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        self._expire()
        if self._sessions:
            self._schedule_sweep(loop)

    def _expire(self) -> None:
        oldest = monotonic() - self._session_expiry_s
        for session, seat in list(self._sessions.items()):
            if seat.touched < oldest and not seat.is_busy:
                log.info("session_expired", session=session)
                self._close(session)

    def _count(self, error: PolicyError) -> PolicyError:
        """Count an error; the copy that is raised holds no frames of those who met it before."""
        self.metrics.errors[error.kind] += 1
        return type(error)(str(error))


def _resolve(future: asyncio.Future[PolicyError | None], result: PolicyError | None) -> None:
    if not future.done():
        future.set_result(result)


def _ignore(_: None) -> None:
    pass
