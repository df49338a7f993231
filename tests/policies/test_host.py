"""The host on its event loop: one thread for the policy, questions that meet, sessions that end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.policies.questions import episode, observation
from tests.policies.stubs import EchoPolicy, WillfulPolicy
from vla_bench.policies.host import PolicyHost
from vla_bench.spec.errors import ActionError, BadRequest, ServerUnreachable, SessionLost
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity

E0 = episode("e0")


def run(policy: Any, talk: Callable[[PolicyHost], Awaitable[Any]], **options: Any) -> Any:
    """Serve a policy on an event loop for the length of one conversation."""

    async def main() -> Any:
        host = PolicyHost(policy, **options)
        try:
            return await asyncio.wait_for(talk(host), 10)
        finally:
            await host.stop()

    return asyncio.run(main())


async def opened(host: PolicyHost, info: EpisodeInfo = E0) -> str:
    session = await host.open()
    await host.reset(session, info)
    return session


@contextmanager
def refused(said: str) -> Iterator[None]:
    with pytest.raises(BadRequest, match=said):
        yield


def chunk(actions: Any, identity: Identity | None = None) -> ActionChunk:
    return ActionChunk(actions=actions, identity=identity)


def test_the_policy_is_called_from_one_thread_only() -> None:
    policy = EchoPolicy()

    async def talk(host: PolicyHost) -> None:
        sessions = [await opened(host) for _ in range(4)]
        await asyncio.gather(*(host.act(observation(session, E0)) for session in sessions))
        await host.close(sessions[0])

    run(policy, talk)
    assert policy.threads == {"policy"}
    assert len(policy.closed) == 4


def test_the_same_request_twice_at_once_is_one_question() -> None:
    policy = EchoPolicy(pass_s=0.05)

    async def talk(host: PolicyHost) -> tuple[ActionChunk, ActionChunk]:
        question = observation(await opened(host), E0)
        return await asyncio.gather(host.act(question), host.act(question))

    first, second = run(policy, talk)
    assert first is second
    assert len(policy.batches) == 1


def test_a_question_after_one_that_was_given_up_waits_for_its_turn() -> None:
    policy = EchoPolicy(pass_s=0.05)

    async def talk(host: PolicyHost) -> None:
        session = await opened(host)
        given_up = asyncio.ensure_future(host.act(observation(session, E0)))
        await asyncio.sleep(0)
        questions = [observation(session, E0, step) for step in (1, 2)]
        chunks = await asyncio.gather(*map(host.act, questions))
        assert [chunk.identity for chunk in chunks] == [question.identity for question in questions]
        assert given_up.done()

    run(policy, talk)
    assert policy.batches == [policy.batches[0]] * 3


def test_another_question_under_the_id_of_one_in_flight_is_refused() -> None:
    async def talk(host: PolicyHost) -> None:
        question = observation(await opened(host), E0)
        first = asyncio.ensure_future(host.act(question))
        await asyncio.sleep(0)
        with refused("was used for another question"):
            await host.act(replace(question, identity=replace(question.identity, step=1)))
        await first

    run(EchoPolicy(pass_s=0.05), talk)


def test_a_caller_that_gives_up_leaves_the_answer_for_its_retry() -> None:
    policy = EchoPolicy(pass_s=0.05)

    async def talk(host: PolicyHost) -> None:
        question = observation(await opened(host), E0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.act(question), 0.01)
        assert (await host.act(question)).identity == question.identity

    run(policy, talk)
    assert len(policy.batches) == 1


def test_a_reset_supersedes_a_question_that_still_waits() -> None:
    policy = EchoPolicy()

    async def talk(host: PolicyHost) -> None:
        sessions = [await opened(host) for _ in range(2)]
        await asyncio.gather(*(host.act(observation(session, E0)) for session in sessions))
        waiting = asyncio.ensure_future(host.act(observation(sessions[0], E0, step=1)))
        await asyncio.sleep(0)
        await host.reset(sessions[0], E0)
        with refused("was reset or closed"):
            await waiting
        await host.act(observation(sessions[0], E0))

    run(policy, talk, max_wait_s=0.2)
    assert len(policy.resets) == 3


def test_an_idle_session_expires_and_a_busy_one_does_not() -> None:
    policy = EchoPolicy(pass_s=0.3)

    async def talk(host: PolicyHost) -> None:
        idle, busy = await opened(host), await opened(host)
        answer = await host.act(observation(busy, E0))
        assert answer.identity is not None
        with pytest.raises(SessionLost, match="expired"):
            await host.act(observation(idle, E0))
        assert host.n_sessions == 1

    run(policy, talk, session_expiry_s=0.1)
    assert len(policy.closed) == 2


def test_a_full_server_says_so_and_has_room_again() -> None:
    async def talk(host: PolicyHost) -> None:
        first = await host.open()
        await host.open()
        with pytest.raises(ServerUnreachable, match="no room: 2 sessions"):
            await host.open()
        await host.close(first)
        await host.open()

    run(EchoPolicy(), talk, max_sessions=2)


def test_what_close_raises_is_nobodys_error() -> None:
    class Sulky(EchoPolicy):
        def close(self, session: str) -> None:
            raise RuntimeError("no")

    async def talk(host: PolicyHost) -> None:
        await host.close(await host.open())
        await host.act(observation(await opened(host), E0))

    run(Sulky(), talk)


def test_one_bad_row_is_not_the_others_error() -> None:
    def act(batch: Any) -> Any:
        rows = [chunk(np.zeros((1, 4), np.float32)) for _ in batch]
        rows[0] = chunk(np.zeros(4, np.float32))
        return rows

    async def talk(host: PolicyHost) -> list[Any]:
        sessions = [await opened(host) for _ in range(3)]
        for _ in range(2):
            found = await asyncio.gather(*(host.act(observation(s, E0)) for s in sessions), return_exceptions=True)
        return found

    found = run(WillfulPolicy(act=act), talk, max_wait_s=0.2)
    assert [type(each) for each in found] == [ActionError, ActionChunk, ActionChunk]


def test_counters_tell_what_happened() -> None:
    async def talk(host: PolicyHost) -> str:
        session = await opened(host)
        question = observation(session, E0)
        await host.act(question)
        await host.act(question)
        with pytest.raises(SessionLost):
            await host.close("nobody")
        return host.metrics.render(host.n_sessions)

    lines = run(EchoPolicy(), talk).splitlines()
    for line in (
        "vla_bench_policy_sessions 1",
        "vla_bench_policy_sessions_opened_total 1",
        "vla_bench_policy_resets_total 1",
        "vla_bench_policy_repeats_total 1",
        'vla_bench_policy_errors_total{kind="session_lost"} 1',
        'vla_bench_policy_batches_total{rows="1"} 1',
        'vla_bench_policy_latency_seconds_bucket{le="+Inf"} 1',
        "vla_bench_policy_latency_seconds_count 1",
    ):
        assert line in lines


def test_a_stopped_host_answers_nobody_and_leaves_no_thread() -> None:
    policy = EchoPolicy()

    async def main() -> None:
        host = PolicyHost(policy)
        session = await opened(host)
        await host.stop()
        await host.stop()
        with pytest.raises(ServerUnreachable, match="stopping"):
            await host.act(observation(session, E0))

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() <= before
    assert len(policy.closed) == 1
