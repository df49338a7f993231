"""`check_policy`: what a policy and its server must do so that no answer is ever used for another question.

What no program can see is not checked: that the conventions of the handshake are the true ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.base import Deadlines, Policy, PolicyConnection, PolicySession
from vla_bench.policies.codec import (
    Form,
    decode_chunk,
    decode_error,
    decode_opening,
    encode_observation,
    encode_reset,
)
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.policies.served import connect_url
from vla_bench.policies.sessions import new_id
from vla_bench.spec.errors import BadRequest, PolicyError, SessionLost, Unauthorized
from vla_bench.spec.messages import EpisodeInfo, Identity, Observation, PolicyInfo
from vla_bench.testing.conformance import Rules

__all__ = ["check_policy"]

_DEADLINES = Deadlines(connect_s=10.0, first_act_s=300.0, act_s=60.0)
_SIDE = 64


def check_policy(
    policy: Policy | str,
    *,
    token: str | None = None,
    episode: EpisodeInfo | None = None,
    observation: Observation | None = None,
    is_deterministic: bool = True,
    n_sessions: int = 3,
    n_questions: int = 3,
    deadlines: Deadlines = _DEADLINES,
) -> tuple[str, ...]:
    """Run the whole kit.

    Args:
        policy: a `Policy`, which is served over real HTTP meanwhile, or the URL of a running server (`http://`,
            `https://`, `grpc://`; over gRPC the rules about HTTP itself are left out).
        token: of that server.
        episode: handed to `reset`, for a policy that knows only certain tasks; its `n_actions` counts where the
            handshake names no action convention.
        observation: what the questions look like, for a policy that wants more than random pictures and states (an
            oracle wants `privileged`); its identity does not matter.
        is_deterministic: whether the same seed and questions promise the same actions, alone and in a batch.
        n_sessions: how many ask at the same time.
        n_questions: how many questions each of them asks.
        deadlines: of every call.

    Returns:
        The rules that were checked, as sentences.

    Raises:
        PolicyError: the server cannot be reached at all, or has no usable handshake.
        ConformanceError: rules are broken; all of them are named.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(policy, str):
            url, subject = policy, f"policy server {policy}"
        else:
            url = stack.enter_context(BackgroundServer(policy, token=token)).url
            subject = f"policy {type(policy).__name__}"
        connection = stack.enter_context(contextlib.closing(connect_url(url, token=token, deadlines=deadlines)))
        questions = _Questions(connection.info, episode, observation)
        kit = _Kit(Rules(subject), connection, questions, n_questions)
        kit.check_answers()
        kit.check_identity()
        if is_deterministic:
            kit.check_determinism(n_sessions)
        if url.startswith("http"):
            with httpx2.Client(base_url=url, trust_env=False, timeout=deadlines.act_s) as client:
                _Wire(kit.rules, client, token, questions, is_deterministic).check()
    return kit.rules.finish()


class _Questions:
    """Episodes and observations that fit a handshake."""

    def __init__(self, info: PolicyInfo, episode: EpisodeInfo | None, observation: Observation | None) -> None:
        self.info = info
        base = episode or EpisodeInfo(episode="conformance", instruction="do the task", horizon=100, n_actions=7)
        n_actions = info.action.n_entries if info.action else base.n_actions
        self.episode = replace(base, n_actions=n_actions)
        self._observation = observation

    def at(self, session: str, episode: EpisodeInfo, step: int, /, **changes: Any) -> Observation:
        """The question of a step; the same content for the same step, under a request id of its own."""
        identity = Identity(session, episode.episode, episode.attempt, episode.stage, step, new_id())
        identity = replace(identity, **changes)
        if self._observation is not None:
            return replace(self._observation, identity=identity)
        random = np.random.default_rng(step)
        return Observation(
            identity=identity,
            images=self._pictures(random),
            state={key: random.standard_normal(size).astype(np.float32) for key, size in self.info.state.items()},
            instruction=episode.instruction,
            history={offset: self._pictures(random) for offset in self.info.history},
            depth={name: np.ones(shape[:2], np.float32) for name, shape in self._shapes() if self.info.wants_depth},
        )

    def _pictures(self, random: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
        return {name: random.integers(0, 256, shape, dtype=np.uint8) for name, shape in self._shapes()}

    def _shapes(self) -> list[tuple[str, tuple[int, int, int]]]:
        return [(camera.name, (camera.height or _SIDE, camera.width or _SIDE, 3)) for camera in self.info.cameras]


class _Kit:
    """The rules that hold over every transport."""

    def __init__(self, rules: Rules, connection: PolicyConnection, questions: _Questions, n_questions: int) -> None:
        self.rules = rules
        self.connection = connection
        self.questions = questions
        self.n_questions = n_questions

    @contextlib.contextmanager
    def session(self) -> Iterator[PolicySession]:
        session = self.connection.open_session()
        try:
            yield session
        finally:
            session.close()

    def rollout(self, session: PolicySession, episode: EpisodeInfo, first: int = 0) -> Iterator[NDArray[np.float32]]:
        """Reset, then ask from step `first` on; the actions as they come."""
        session.reset(episode)
        for step in range(first, first + self.n_questions):
            yield session.act(self.questions.at(session.id, episode, step)).actions

    def check_answers(self) -> None:
        info = self.connection.info
        with self.rules.rule("the handshake names the policy") as expect:
            expect(bool(info.name.strip()), f"name is {info.name!r}")
        n_actions = self.questions.episode.n_actions
        with self.rules.rule("actions are finite float32 [k, A], k in 1..chunk_length") as expect, self.session() as s:
            for actions in self.rollout(s, self.questions.episode):
                expect(actions.dtype == np.float32, f"dtype {actions.dtype}")
                expect(actions.ndim == 2, f"shape {list(actions.shape)}")
                expect(1 <= len(actions) <= info.chunk_length, f"k = {len(actions)} of at most {info.chunk_length}")
                expect(actions.shape[1] == n_actions, f"A = {actions.shape[1]}, not {n_actions}")
                expect(bool(np.isfinite(actions).all()), "a NaN or an infinity")
        with self.rules.rule("a session can be reset again, also to a further stage"), self.session() as s:
            for stage in (0, 1, 0):
                for _ in self.rollout(s, replace(self.questions.episode, stage=stage), first=stage * self.n_questions):
                    pass

    def check_identity(self) -> None:
        episode = self.questions.episode
        with self.rules.rule("a repeated request is answered from memory") as expect, self.session() as session:
            session.reset(episode)
            question = self.questions.at(session.id, episode, 0)
            first, second = session.act(question), session.act(question)
            expect(first.actions.tobytes() == second.actions.tobytes(), "the actions differ")
        with self.rules.rule("a request id is good for one question only") as expect, self.session() as session:
            session.reset(episode)
            session.act(self.questions.at(session.id, episode, 0, request="one"))
            with _refused(expect, BadRequest):
                session.act(self.questions.at(session.id, episode, 1, request="one"))
        wrong: dict[str, Callable[[str], Observation]] = {
            "another episode": lambda session: self.questions.at(session, episode, 5, episode="another"),
            "another attempt": lambda session: self.questions.at(session, episode, 5, attempt=episode.attempt + 1),
            "another stage": lambda session: self.questions.at(session, episode, 5, stage=episode.stage + 1),
            "an earlier step": lambda session: self.questions.at(session, episode, 3),
        }
        for what, make in wrong.items():
            with self.rules.rule(f"a question of {what} is refused") as expect, self.session() as session:
                session.reset(episode)
                session.act(self.questions.at(session.id, episode, 4))
                with _refused(expect, BadRequest):
                    session.act(make(session.id))
        rule = self.rules.rule("a question before the first reset is refused")
        with rule as expect, self.session() as session, _refused(expect, BadRequest):
            session.act(self.questions.at(session.id, episode, 0))

    def check_determinism(self, n_sessions: int) -> None:
        episodes = [
            replace(self.questions.episode, attempt=index, policy_seed=index % 2) for index in range(max(n_sessions, 2))
        ]
        with self.rules.rule("the same seed and questions give the same actions") as expect:
            alone = [self._bytes_of(episode) for episode in episodes]
            expect(alone == [self._bytes_of(episode) for episode in episodes], "the second time they differ")
        with self.rules.rule("sessions that ask at the same time get the answers that each gets alone") as expect:
            with ThreadPoolExecutor(len(episodes)) as pool:
                together = list(pool.map(self._bytes_of, episodes))
            expect(together == alone, "they differ")

    def _bytes_of(self, episode: EpisodeInfo) -> Sequence[bytes]:
        with self.session() as session:
            return [actions.tobytes() for actions in self.rollout(session, episode)]


class _Wire:
    """The rules about HTTP itself."""

    def __init__(
        self, rules: Rules, client: httpx2.Client, token: str | None, questions: _Questions, is_deterministic: bool
    ) -> None:
        self.rules = rules
        self.client = client
        self.is_deterministic = is_deterministic
        self.token = token
        self.questions = questions

    def check(self) -> None:
        with self.rules.rule("GET /healthz answers 200 without a token") as expect:
            status = self._request("GET", "healthz").status_code
            expect(status == 200, f"status {status}")
        if self.token:
            with self.rules.rule("a request without the token is answered 401") as expect:
                self._expect_error(expect, self._request("GET", "v1/policy"), Unauthorized, 401)
        with self.rules.rule("garbage is answered 4xx with a kind and a message") as expect:
            session = self._open()
            for method in ("reset", "act"):
                for form in Form:
                    for body in (b"", b"\xc1garbage", b"[]", b"\x90", b"{}", b"\x80"):
                        reply = self._post(f"v1/sessions/{session}/{method}", body, form)
                        expect(400 <= reply.status_code < 500, f"{method} of {body!r}: status {reply.status_code}")
                        is_told = decode_error(reply.content, form) is not None
                        expect(is_told, f"{method} of {body!r}: {reply.content!r} has no kind and message")
            self._delete(session)
        with self.rules.rule("an unknown session is answered 404, kind session_lost") as expect:
            question = encode_observation(self.questions.at("unknown", self.questions.episode, 0))
            self._expect_error(expect, self._post("v1/sessions/unknown/act", question), SessionLost, 404)
        with self.rules.rule("a deleted session is gone") as expect:
            session = self._open()
            status = self._delete(session).status_code
            expect(status in (200, 204), f"DELETE: status {status}")
            reset = encode_reset(self.questions.episode, new_id())
            self._expect_error(expect, self._post(f"v1/sessions/{session}/reset", reset), SessionLost, 404)
        with self.rules.rule("JSON is spoken as well as msgpack") as expect:
            answers = [self._ask_in(form, expect) for form in Form]
            expect(answers[0] == answers[1] or not self.is_deterministic, "the actions differ")

    def _ask_in(self, form: Form, expect: Callable[[bool, str], None]) -> bytes:
        """One question in a session of its own; the bytes of the actions."""
        session, episode = self._open(), self.questions.episode
        reset = self._post(f"v1/sessions/{session}/reset", encode_reset(episode, new_id(), form), form)
        expect(reset.status_code == 200, f"reset in {form}: {reset.content!r}")
        question = self.questions.at(session, episode, 0)
        reply = self._post(f"v1/sessions/{session}/act", encode_observation(question, form), form)
        expect(reply.status_code == 200, f"act in {form}: {reply.content!r}")
        chunk = decode_chunk(reply.content, form)
        expect(chunk.identity == question.identity, f"act in {form} echoes {chunk.identity}")
        self._delete(session)
        return chunk.actions.tobytes()

    def _open(self) -> str:
        return decode_opening(self._post("v1/sessions", b"").content).session

    def _post(self, path: str, body: bytes, form: Form = Form.MSGPACK) -> httpx2.Response:
        return self._request("POST", path, content=body, headers=self._headers(form))

    def _delete(self, session: str) -> httpx2.Response:
        return self._request("DELETE", f"v1/sessions/{session}", headers=self._headers())

    def _request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            return self.client.request(method, path, **more)
        except httpx2.HTTPError as error:  # breaks the rule that is being tried
            raise AssertionError(f"{method} {path}: {type(error).__name__} {error}") from error

    def _headers(self, form: Form = Form.MSGPACK) -> dict[str, str]:
        headers = {"content-type": form.value, "accept": form.value}
        return headers | {"authorization": f"Bearer {self.token}"} if self.token else headers

    def _expect_error(
        self, expect: Callable[[bool, str], None], reply: httpx2.Response, kind: type[PolicyError], status: int
    ) -> None:
        expect(reply.status_code == status, f"status {reply.status_code}")
        form = Form.JSON if "json" in reply.headers.get("content-type", "") else Form.MSGPACK
        error = decode_error(reply.content, form)
        expect(type(error) is kind, f"{reply.content!r} is no map of kind {kind.kind!r} and message")


@contextlib.contextmanager
def _refused(expect: Callable[[bool, str], None], kind: type[PolicyError]) -> Iterator[None]:
    """The body must raise this error."""
    try:
        yield
    except PolicyError as error:
        expect(isinstance(error, kind), f"it is refused as {error.kind}, not {kind.kind}: {error}")
    else:
        expect(False, "it is answered")
