"""The rules of a session: the same for a host behind a transport as for a policy in this process."""

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
from vla_bench.policies.answers import call_act
from vla_bench.policies.host import PolicyHost
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.errors import ActionError, BadReply, BadRequest, PolicyError, PolicyRaised, SessionLost, StaleReply
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation, PolicyInfo

E0 = episode("e0")


class Direct:
    """The calls of a session, on a host or in this process: what both must do is tested once."""

    def __init__(self, policy: Any, is_inline: bool) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_inline = is_inline
        if is_inline:
            self._connection = InlineConnection(policy)
            self._session = self._connection.open_session()
            self.id = self._session.id
        else:
            self._host = PolicyHost(policy)
            self.id = self._run(self._host.open())

    def reset(self, info: EpisodeInfo) -> None:
        return self._session.reset(info) if self._is_inline else self._run(self._host.reset(self.id, info))

    def act(self, question: Observation) -> ActionChunk:
        return self._session.act(question) if self._is_inline else self._run(self._host.act(question))

    def close_session(self) -> None:
        return self._session.close() if self._is_inline else self._run(self._host.close(self.id))

    def close(self) -> None:
        self._connection.close() if self._is_inline else self._run(self._host.stop())
        self._loop.close()

    def _run(self, call: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(call)


@pytest.fixture(params=["host", "inline"])
def talk_to(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Direct]]:
    """Opens a session with a policy, once behind a host and once in this process."""
    lines: list[Direct] = []

    def open_line(policy: Any) -> Direct:
        lines.append(Direct(policy, request.param == "inline"))
        return lines[-1]

    yield open_line
    for line in lines:
        line.close()


@contextmanager
def refused(said: str) -> Iterator[None]:
    with pytest.raises(BadRequest, match=said):
        yield


def test_an_answer_echoes_its_question_and_names_its_server(talk_to: Any) -> None:
    policy = EchoPolicy()
    line = talk_to(policy)
    line.reset(E0)
    question = observation(line.id, E0, step=3, state={"p": np.ones(2, np.float32)})
    chunk = line.act(question)
    assert chunk.identity == question.identity
    assert chunk.server
    assert chunk.server_ms >= 0
    assert chunk.actions.dtype == np.float32
    assert chunk.actions[0, 0] == 7 + 3 / 8 + 2


def test_the_policy_seed_and_the_episode_reach_the_policy(talk_to: Any) -> None:
    policy = EchoPolicy()
    line = talk_to(policy)
    line.reset(replace(E0, policy_seed=2**32 - 1, attempt=2))
    assert policy.resets == [(line.id, replace(E0, policy_seed=2**32 - 1, attempt=2))]


def test_a_repeated_request_is_answered_from_memory(talk_to: Any) -> None:
    policy = EchoPolicy()
    line = talk_to(policy)
    line.reset(E0)
    question = observation(line.id, E0)
    first = line.act(question)
    assert line.act(question) is first
    assert len(policy.batches) == 1


def test_an_error_is_remembered_like_an_answer(talk_to: Any) -> None:
    calls: list[int] = []

    def act(batch: Any) -> Any:
        calls.append(len(batch))
        raise ValueError("no weights")

    line = talk_to(WillfulPolicy(act=act))
    line.reset(E0)
    question = observation(line.id, E0)
    for _ in range(2):
        with pytest.raises(PolicyRaised, match=r"raised in act\(\): ValueError: no weights"):
            line.act(question)
    assert calls == [1]


def test_a_row_that_the_policy_cannot_take_costs_the_others_nothing() -> None:
    calls: list[list[str]] = []

    class Picky(EchoPolicy):
        """Cannot take one task, whoever else is in the batch."""

        def act(self, batch: Any) -> Any:
            calls.append([row.instruction for row in batch])
            if any(row.instruction == "impossible" for row in batch):
                raise ValueError("no tokens for this")
            return super().act(batch)

    asked = [replace(observation(f"s{row}", E0), instruction=text) for row, text in enumerate(["a", "impossible", "b"])]
    policy = Picky()
    for row in range(3):
        policy.reset(f"s{row}", E0)
    answers = call_act(policy, asked)
    assert [isinstance(answer, PolicyRaised) for answer in answers] == [False, True, False]
    assert "no tokens for this" in str(answers[1])
    assert calls == [["a", "impossible", "b"], ["a"], ["impossible"], ["b"]]


def test_a_policy_that_always_raises_is_every_rows_own_error() -> None:
    def act(batch: Any) -> Any:
        raise RuntimeError(f"never, not for {batch[0].identity.session}")

    asked = [observation(session, E0) for session in ("s0", "s1")]
    answers = call_act(WillfulPolicy(act=act), asked)
    assert [str(answer).split()[-1] for answer in answers] == ["s0", "s1"]


def test_a_request_id_is_good_for_one_question(talk_to: Any) -> None:
    line = talk_to(EchoPolicy())
    line.reset(E0)
    question = observation(line.id, E0)
    line.act(question)
    other = replace(question, identity=replace(question.identity, step=1))
    with refused("was used for another question"):
        line.act(other)


def test_no_question_before_the_first_reset(talk_to: Any) -> None:
    line = talk_to(EchoPolicy())
    with refused("has not been reset"):
        line.act(observation(line.id, E0))


@pytest.mark.parametrize("change", [{"episode": "e1"}, {"attempt": 1}, {"stage": 1}])
def test_a_question_of_another_rollout_than_the_last_reset_is_refused(talk_to: Any, change: dict[str, Any]) -> None:
    line = talk_to(EchoPolicy())
    line.reset(E0)
    question = observation(line.id, E0)
    with refused("the session was last reset to episode 'e0', attempt 0, stage 0"):
        line.act(replace(question, identity=replace(question.identity, **change)))


def test_steps_never_go_back_not_even_at_a_new_stage(talk_to: Any) -> None:
    line = talk_to(EchoPolicy())
    line.reset(E0)
    line.act(observation(line.id, E0, step=5))
    line.act(observation(line.id, E0, step=5))
    with refused("step 4 after one at 5"):
        line.act(observation(line.id, E0, step=4))
    later = replace(E0, stage=1)
    line.reset(later)
    with refused("step 4 after one at 5"):
        line.act(observation(line.id, later, step=4))
    line.act(observation(line.id, later, step=5))
    line.reset(E0)
    line.act(observation(line.id, E0, step=0))


def test_a_reset_forgets_the_last_answer(talk_to: Any) -> None:
    policy = EchoPolicy()
    line = talk_to(policy)
    line.reset(E0)
    question = observation(line.id, E0)
    line.act(question)
    line.reset(replace(E0, policy_seed=8))
    assert line.act(question).actions[0, 0] == 8


def test_a_failed_reset_closes_the_session_to_questions_until_one_succeeds(talk_to: Any) -> None:
    outcomes = [None, RuntimeError("first line\nsecond line"), None]

    def reset(session: str, info: EpisodeInfo) -> None:
        outcome = outcomes.pop(0)
        policy.seeds[session] = 0
        if outcome is not None:
            raise outcome

    policy = WillfulPolicy(reset=reset)
    line = talk_to(policy)
    line.reset(E0)
    with pytest.raises(PolicyRaised) as caught:
        line.reset(E0)
    assert str(caught.value) == "the policy raised in reset(): RuntimeError: first line"
    with refused("has not been reset"):
        line.act(observation(line.id, E0))
    line.reset(E0)
    line.act(observation(line.id, E0))


def test_a_policy_that_exits_has_raised(talk_to: Any) -> None:
    line = talk_to(WillfulPolicy(act=lambda batch: exit(3)))
    line.reset(E0)
    with pytest.raises(PolicyRaised, match="SystemExit: 3"):
        line.act(observation(line.id, E0))


def test_a_closed_session_is_lost(talk_to: Any) -> None:
    policy = EchoPolicy()
    line = talk_to(policy)
    line.reset(E0)
    line.close_session()
    for call in (lambda: line.act(observation(line.id, E0)), lambda: line.reset(E0)):
        with pytest.raises(SessionLost):
            call()


def chunk(actions: Any, identity: Identity | None = None) -> ActionChunk:
    return ActionChunk(actions=actions, identity=identity)


WRONG_ANSWERS: list[tuple[Any, type[PolicyError], str]] = [
    (None, BadReply, "returned NoneType"),
    ([], BadReply, "0 answers to 1 observations"),
    ([chunk(np.zeros((1, 4), np.float32))] * 2, BadReply, "2 answers to 1 observations"),
    ([np.zeros((1, 4), np.float32)], BadReply, "returned ndarray for an observation"),
    ([None], BadReply, "returned NoneType for an observation"),
    ([chunk([[1.0], [2.0, 3.0]])], BadReply, "no array"),
    ([chunk(np.zeros((1, 4), np.int64))], ActionError, "int64"),
    ([chunk(np.zeros((1, 4), bool))], ActionError, "bool"),
    ([chunk(np.full((1, 4), "x"))], ActionError, "<U1"),
    ([chunk(None)], ActionError, "object"),
    ([chunk(np.zeros(4, np.float32))], ActionError, r"shape \[4\]"),
    ([chunk(np.zeros((1, 1, 4), np.float32))], ActionError, r"shape \[1, 1, 4\]"),
    ([chunk(np.zeros((1, 4)), Identity("s", "e", 0, 0, 0, "r"))], StaleReply, "in the place of"),
]


@pytest.mark.parametrize(("returned", "error", "said"), WRONG_ANSWERS)
def test_a_wrong_answer_is_an_error_that_names_it(talk_to: Any, returned: Any, error: Any, said: str) -> None:
    line = talk_to(WillfulPolicy(act=lambda batch: returned))
    line.reset(E0)
    with pytest.raises(error, match=said):
        line.act(observation(line.id, E0))


@pytest.mark.parametrize(
    "actions",
    [
        np.array([[np.nan, np.inf, -np.inf, 1e30]], np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((1, 5), np.float32),
        np.zeros((1000, 4), np.float32),
    ],
)
def test_numbers_are_not_judged_here(talk_to: Any, actions: Any) -> None:
    line = talk_to(WillfulPolicy(act=lambda batch: [chunk(actions)]))
    line.reset(E0)
    found = line.act(observation(line.id, E0)).actions
    assert (found.shape, found.tobytes()) == (actions.shape, actions.tobytes())


def test_other_floats_become_float32_and_the_answer_is_a_copy(talk_to: Any) -> None:
    buffer = np.array([[0.1, 1e300]])
    line = talk_to(WillfulPolicy(act=lambda batch: [chunk(buffer)]))
    line.reset(E0)
    found = line.act(observation(line.id, E0)).actions
    buffer[:] = 5
    assert found.tolist() == [[np.float32(0.1), np.inf]]


@pytest.mark.parametrize("make", [PolicyHost, InlineConnection])
@pytest.mark.parametrize(
    ("info", "error", "said"),
    [
        (lambda: 1 / 0, PolicyRaised, r"raised in info\(\): ZeroDivisionError"),
        (lambda: {"name": "x"}, BadReply, "returned dict"),
        (lambda: PolicyInfo(name="x", options={"t": float("nan")}), BadReply, "written down"),
    ],
)
def test_a_policy_without_a_usable_handshake_is_refused_at_once(make: Any, info: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        make(WillfulPolicy(info=info))
    assert not [thread for thread in threading.enumerate() if thread.name == "policy" and not thread.daemon]
