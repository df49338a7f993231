from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policies.questions import episode, observation
from tests.policies.stubs import EchoPolicy
from vla_bench.policies.batching import Batcher
from vla_bench.policies.host import PolicyHost
from vla_bench.spec.errors import BadRequest
from vla_bench.spec.messages import Observation

E0 = episode("e0")
FOR_EVER = 60.0


class Bench:
    """A batcher whose passes end on order.

    Attributes:
        passes: the sessions of each pass, as they started.
        answered: what each session got: its own name, or an error.
    """

    def __init__(self, *, batch_limit: int = 8, max_wait_s: float = FOR_EVER) -> None:
        self.passes: list[list[str]] = []
        self.answered: dict[str, list[Any]] = {}
        self.batcher = Batcher(self._start, batch_limit=batch_limit, max_wait_s=max_wait_s)
        self._finish: Callable[[], None] | None = None

    def _start(self, batch: Sequence[Observation], done: Callable[[list[Any]], None]) -> None:
        assert self._finish is None, "two passes at once"
        sessions = [row.identity.session for row in batch]
        self.passes.append(sessions)
        self._finish = lambda: done(sessions)

    @property
    def is_running(self) -> bool:
        return self._finish is not None

    def ask(self, *sessions: str) -> None:
        for session in sessions:
            self.batcher.ask(observation(session, E0), self.answered.setdefault(session, []).append)

    def answer(self) -> None:
        """End the pass that runs."""
        assert self._finish is not None, "no pass runs"
        finish, self._finish = self._finish, None
        finish()

    def round(self, *sessions: str) -> None:
        """All of these ask and are answered in one pass, which is not recorded."""
        self.batcher.hold()
        self.ask(*sessions)
        self.batcher.release()
        self.answer()
        self.passes.clear()


def on_loop(talk: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(talk(), 10))


def test_one_session_never_waits() -> None:
    async def talk() -> None:
        bench = Bench()
        for _ in range(3):
            bench.ask("a")
            bench.answer()
        assert bench.passes == [["a"]] * 3

    on_loop(talk)


def test_a_pass_starts_at_once_when_every_live_session_has_asked() -> None:
    async def talk() -> None:
        bench = Bench()
        bench.round("a", "b", "c")
        bench.ask("c", "a")
        assert bench.passes == []
        bench.ask("b")
        assert bench.passes == [["c", "a", "b"]]

    on_loop(talk)


def test_questions_gather_while_a_pass_runs() -> None:
    async def talk() -> None:
        bench = Bench()
        bench.ask("a", "b", "c")
        assert bench.passes == [["a"]]
        bench.answer()
        assert bench.passes == [["a"]]  # a is due again at once, and is waited for
        bench.ask("a")
        assert bench.passes == [["a"], ["b", "c", "a"]]

    on_loop(talk)


def test_the_batch_limit_starts_a_pass_and_the_rest_comes_next() -> None:
    async def talk() -> None:
        bench = Bench(batch_limit=2)
        bench.batcher.hold()
        bench.ask("a", "b", "c")
        bench.batcher.release()
        assert bench.passes == [["a", "b"]]
        bench.answer()
        assert len(bench.passes) == 1  # a and b are due
        bench.ask("b")
        assert bench.passes[1:] == [["c", "b"]]

    on_loop(talk)


def test_the_longest_wait_starts_a_pass_and_who_let_it_pass_is_not_waited_for() -> None:
    async def talk() -> None:
        bench = Bench(max_wait_s=0.02)
        bench.round("a", "b")
        bench.ask("a")
        assert bench.passes == []
        await asyncio.sleep(0.05)
        assert bench.passes == [["a"]]
        bench.answer()
        bench.ask("a")
        assert bench.passes == [["a"], ["a"]]  # b has stalled: nobody waits
        bench.answer()
        bench.ask("b")  # b is back, and a is due
        assert len(bench.passes) == 2
        bench.ask("a")
        assert bench.passes[2] == ["b", "a"]

    on_loop(talk)


def test_the_wait_counts_from_when_the_policy_is_free() -> None:
    async def talk() -> None:
        bench = Bench(max_wait_s=0.05)
        bench.ask("a", "b")
        await asyncio.sleep(0.1)
        bench.answer()  # b has waited for longer, yet a, just answered, gets its chance to join
        assert bench.passes == [["a"]]
        bench.ask("a")
        assert bench.passes == [["a"], ["b", "a"]]

    on_loop(talk)


def test_a_session_that_takes_longer_than_the_wait_is_not_waited_for() -> None:
    async def talk() -> None:
        bench = Bench(max_wait_s=0.02)
        for _ in range(2):
            bench.round("a", "b")
            await asyncio.sleep(0.08)
        bench.round("a", "b")
        bench.ask("a")  # much sooner than usual; b is due only later
        assert bench.passes == [["a"]]

    on_loop(talk)


def test_a_session_that_resets_or_closes_is_not_waited_for() -> None:
    async def talk() -> None:
        bench = Bench()
        bench.round("a", "b")
        bench.ask("a")
        bench.batcher.forget("b")
        assert bench.passes == [["a"]]

    on_loop(talk)


def test_a_forgotten_question_is_answered_with_an_error_and_reaches_no_pass() -> None:
    async def talk() -> None:
        bench = Bench()
        bench.round("a", "b")
        bench.ask("a")
        bench.batcher.forget("a")
        assert isinstance(bench.answered["a"][-1], BadRequest)
        bench.ask("b")
        assert bench.passes == [["b"]]

    on_loop(talk)


def test_a_held_batcher_gathers() -> None:
    async def talk() -> None:
        bench = Bench()
        bench.batcher.hold()
        bench.ask("a", "b")
        assert bench.passes == []
        bench.batcher.release()
        assert bench.passes == [["a", "b"]]

    on_loop(talk)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40), st.integers(1, 4))
def test_every_question_is_answered_once_with_its_own_row(orders: list[tuple[str, bool]], batch_limit: int) -> None:
    """Sessions ask, passes end and sessions are forgotten in any order: nothing is lost, doubled or swapped."""

    async def talk() -> None:
        bench = Bench(batch_limit=batch_limit, max_wait_s=0.0)
        asked = dict.fromkeys("abcd", 0)
        for session, ends_pass in orders:
            is_waiting = len(bench.answered.get(session, [])) < asked[session]
            if not is_waiting:
                asked[session] += 1
                bench.ask(session)
            elif not (bench.is_running and session in bench.passes[-1]):
                bench.batcher.forget(session)
            if ends_pass and bench.is_running:
                bench.answer()
            await asyncio.sleep(0)
        while any(len(bench.answered.get(session, [])) < n for session, n in asked.items()):
            if bench.is_running:
                bench.answer()
            await asyncio.sleep(0.001)
        for session, n in asked.items():
            found = bench.answered.get(session, [])
            assert len(found) == n
            assert all(isinstance(each, BadRequest) or each == session for each in found)
        assert all(len(rows) <= batch_limit for rows in bench.passes)

    on_loop(talk)


def test_batched_answers_equal_unbatched_ones_bit_for_bit() -> None:
    infos = [episode(f"e{index}", policy_seed=index * 17) for index in range(8)]

    def answers(together: bool) -> tuple[list[list[bytes]], set[int]]:
        async def talk() -> tuple[list[list[bytes]], set[int]]:
            host = PolicyHost(EchoPolicy(), max_wait_s=0.5 if together else 0.0)
            sessions = [await host.open() for _ in infos]
            for session, info in zip(sessions, infos, strict=True):
                await host.reset(session, info)
            found = []
            for step in range(4):
                questions = [observation(s, info, step) for s, info in zip(sessions, infos, strict=True)]
                if together:
                    chunks = await asyncio.gather(*map(host.act, questions))
                else:
                    chunks = [await host.act(question) for question in questions]
                found.append([chunk.actions.tobytes() for chunk in chunks])
            sizes = set(host.metrics.batch_sizes)
            await host.stop()
            return found, sizes

        return asyncio.run(talk())

    batched, sizes = answers(together=True)
    alone, single = answers(together=False)
    assert max(sizes) == 8
    assert single == {1}
    assert batched == alone


def test_sixteen_sessions_in_step_share_every_pass() -> None:
    policy = EchoPolicy(batch_limit=16, pass_s=0.01)

    async def rollout(host: PolicyHost, n: int) -> None:
        session = await host.open()
        await host.reset(session, E0)
        for step in range(n):
            await host.act(observation(session, E0, step))
        await host.close(session)

    async def talk() -> None:
        host = PolicyHost(policy, max_wait_s=FOR_EVER)
        await asyncio.gather(*(rollout(host, 10) for _ in range(16)))
        await host.stop()

    on_loop(talk)
    assert sum(len(rows) for rows in policy.batches) == 160
    assert len(policy.batches) <= 10 + 16  # a few at the start, before all have asked, and at the end
