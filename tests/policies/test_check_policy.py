from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.policies.questions import episode, observation
from tests.policies.raw_server import http, raw_server
from tests.policies.stubs import EchoPolicy, server_process
from vla_bench.policies.base import Deadlines
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.builtin.random import RandomPolicy
from vla_bench.policies.grpc.server import BackgroundServer as GrpcServer
from vla_bench.spec.errors import ServerUnreachable
from vla_bench.spec.messages import ActionChunk, Observation, PolicyInfo
from vla_bench.testing import ConformanceError, check_policy

SHORT = Deadlines(connect_s=2.0, first_act_s=2.0, act_s=2.0)


class Broken(EchoPolicy):
    """An `EchoPolicy` with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.n = 0

    def info(self) -> PolicyInfo:
        return PolicyInfo(name=" ", batch_limit=8) if self.fault == "nameless" else super().info()

    def act(self, batch: Sequence[Observation]) -> list[ActionChunk]:
        self.n += 1
        chunks = super().act(batch)
        if self.fault == "moody":
            chunks = [ActionChunk(actions=chunk.actions + self.n) for chunk in chunks]
        if self.fault == "mixes rows":
            chunks.reverse()
        if self.fault == "long":
            chunks = [ActionChunk(actions=np.tile(chunk.actions, (2, 1))) for chunk in chunks]
        if self.fault == "narrow":
            chunks = [ActionChunk(actions=chunk.actions[:, :2]) for chunk in chunks]
        if self.fault == "nan":
            chunks = [ActionChunk(actions=chunk.actions * np.nan) for chunk in chunks]
        return chunks


def broken_rules(policy: Any, **options: Any) -> list[str]:
    with pytest.raises(ConformanceError) as caught:
        check_policy(policy, **options)
    return [failure.partition(":")[0] for failure in caught.value.failures]


FOUR = episode("conformance", n_actions=4)


@pytest.mark.parametrize("policy", [NoopPolicy(), RandomPolicy(), EchoPolicy(), EchoPolicy(batch_limit=1)])
def test_good_policies_keep_every_rule(policy: Any) -> None:
    rules = check_policy(policy, episode=FOUR)
    assert len(rules) >= 16


def test_an_oracle_keeps_every_rule_when_it_is_shown_what_it_reads() -> None:
    shown = observation("s", FOUR, privileged={"hand": np.zeros(3), "goal": np.ones(3)})
    check_policy(ExpertPolicy(), episode=FOUR, observation=shown)


def test_a_server_elsewhere_is_checked_by_its_url_and_token() -> None:
    with server_process("--token", "sesame") as (url, _):
        rules = check_policy(url, token="sesame", episode=FOUR)
    assert "a request without the token is answered 401" in rules


def test_a_grpc_server_is_checked_too() -> None:
    with GrpcServer(EchoPolicy()) as server:
        rules = check_policy(server.url, episode=FOUR)
    assert "a repeated request is answered from memory" in rules


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("nameless", "the handshake names the policy"),
        ("moody", "the same seed and questions give the same actions"),
        ("mixes rows", "sessions that ask at the same time get the answers that each gets alone"),
        ("long", "actions are finite float32 [k, A], k in 1..chunk_length"),
        ("narrow", "actions are finite float32 [k, A], k in 1..chunk_length"),
        ("nan", "actions are finite float32 [k, A], k in 1..chunk_length"),
    ],
)
def test_a_fault_is_named_by_its_rule(fault: str, rule: str) -> None:
    assert rule in broken_rules(Broken(fault), episode=FOUR, n_sessions=8, n_questions=6)


def test_a_policy_that_promises_nothing_may_be_moody() -> None:
    check_policy(Broken("moody"), episode=FOUR, is_deterministic=False)


def test_a_server_without_rules_breaks_them_all() -> None:
    """A server that answers every question, known or not, from memory or not, and never refuses."""
    with raw_server(lambda talk: talk.send(http(talk.chunk(float(talk.n))))) as server:
        rules = broken_rules(server.url, episode=FOUR, deadlines=SHORT)
    for rule in (
        "a repeated request is answered from memory",
        "a request id is good for one question only",
        "a question of another episode is refused",
        "a question of another attempt is refused",
        "a question of another stage is refused",
        "a question of an earlier step is refused",
        "a question before the first reset is refused",
        "the same seed and questions give the same actions",
        "garbage is answered 4xx with a kind and a message",
        "an unknown session is answered 404, kind session_lost",
        "a deleted session is gone",
        "JSON is spoken as well as msgpack",
    ):
        assert rule in rules


def test_a_server_that_echoes_another_identity_is_found() -> None:
    with raw_server(lambda talk: talk.send(http(talk.chunk(step=talk.n + 1)))) as server:
        rules = broken_rules(server.url, episode=FOUR, deadlines=SHORT)
    assert "actions are finite float32 [k, A], k in 1..chunk_length" in rules


def test_a_server_that_is_absent_is_unreachable_and_not_broken() -> None:
    with raw_server(lambda talk: None) as server:
        url = server.url
    with pytest.raises(ServerUnreachable):
        check_policy(url)
