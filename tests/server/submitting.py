"""Runs, bundles and forgeries for the tests of submissions, and the real service that they are sent to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import zstandard

from tests.cli.conftest import PROGRAM
from vla_bench import evaluate
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.results.traces import decode_trace, encode_trace
from vla_bench.server.accounts.people import Principal, Role, Scope, authenticate, create_account, create_token
from vla_bench.server.accounts.tokens import Token
from vla_bench.server.client import BoardClient
from vla_bench.server.database import open_store
from vla_bench.server.settings import Settings
from vla_bench.server.submissions import uploads
from vla_bench.server.submissions.bundle import write_bundle
from vla_bench.server.submissions.bundle.archive import read_archive, write_archive
from vla_bench.server.submissions.bundle.manifest import limit_of, trace_member
from vla_bench.server.submissions.declaration import Declaration
from vla_bench.server.submissions.listing import process
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.states import State
from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.result import EpisodeResult

SECRET = "kd83hf7a0slq2m4n6b8v1c3x5z7l9k0j"
WAIT_S = 60.0
T = TypeVar("T")

DECLARATION = Declaration(
    family="expert",
    training_data="none, a scripted controller",
    trained_on="zero-shot",
    demonstrations_per_task=0,
    checkpoint_scope="one",
    selection_rule="there is only one",
    cameras=[],
    state=[],
)


def make_run(folder: Path) -> Path:
    """A database with the run `toy`: toy_reach's full plan, of which some episodes fail."""
    path = folder / "mine.db"
    # Enough noise for some failures; the noise is seeded.
    evaluate("expert", "toy_reach", policy_options={"noise": 0.7}, name="toy", db=str(path), executor="inline")
    return path


def copy_run_as(source: Path, target: Path, name: str, offset_ms: float) -> None:
    """Store the run `toy` again as another evaluation would have: equal actions, other answer times."""
    from vla_bench.envs.registry import find_suite
    from vla_bench.results.reading import find_run, identity_of
    from vla_bench.spec.messages import PolicyInfo, PolicyKind
    from vla_bench.spec.settings import EvalSettings

    with Store.open(source, read_only=True) as old, Store.open(target) as new:
        plan = old.plan("toy")
        with old.database.read() as connection:
            identity = identity_of(connection, find_run(connection, "toy"))
        policy = PolicyInfo(**identity.policy | {"kind": PolicyKind(identity.policy["kind"])})
        settings = EvalSettings.from_dict(dict(identity.settings))
        spec = RunSpec(name=name, suite=find_suite("toy_reach"), plan=plan, settings=settings, policy=policy)
        assert policy.digest == identity.digests["policy"]
        new.begin_run(spec)
        results = []
        for episode in plan.episodes:
            last = old.attempts_of("toy", episode.id)[-1]
            trace = old.trace(last.trace_digest)
            changed = replace(trace, latency_ms=trace.latency_ms + offset_ms)
            results.append(EpisodeResult(episode=episode, attempts=(replace(last.result, attempt=0, trace=changed),)))
        new.add(name, results)
        new.finish(name)


def bundle_of(database: Path, folder: Path, run: str = "toy", declaration: Declaration = DECLARATION) -> Path:
    path = folder / f"{run}.bundle"
    with Store.open(database, read_only=True) as store:
        write_bundle(store, run, declaration, path)
    return path


@dataclass
class Forgery:
    """A bundle in its parts, to be changed and sealed again as a careful forger would."""

    manifest: dict[str, Any]
    members: dict[str, Any]
    traces: dict[str, bytes]

    @classmethod
    def of(cls, path: Path) -> Forgery:
        with path.open("rb") as file:
            found = {member.name: member.data for member in read_archive(file, path.stat().st_size, limit_of)}
        manifest = json.loads(found.pop("manifest.json"))
        traces = {name[7:71]: found.pop(name) for name in list(found) if name.startswith("traces/")}
        members: dict[str, Any] = {}
        for name, data in found.items():
            is_lines = name.endswith(".jsonl")
            members[name] = [json.loads(line) for line in data.splitlines()] if is_lines else json.loads(data)
        return cls(manifest, members, traces)

    @property
    def episodes(self) -> list[dict[str, Any]]:
        return self.members["episodes.jsonl"]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return self.members["attempts.jsonl"]

    @property
    def summary(self) -> dict[str, Any]:
        return self.members["summary.json"]

    def attempt(self, episode_id: str) -> dict[str, Any]:
        return next(row for row in self.attempts if row["episode_id"] == episode_id)

    def retrace(self, episode_id: str, change: Callable[[Any], Any]) -> None:
        """Change the trace of an episode, digest and all."""
        row = self.attempt(episode_id)
        packed = self.traces.pop(row["trace_digest"])
        data = encode_trace(change(decode_trace(zstandard.ZstdDecompressor().decompress(packed))))
        row["trace_digest"] = hashlib.sha256(data).hexdigest()
        self.traces[row["trace_digest"]] = zstandard.ZstdCompressor().compress(data)

    def write(self, path: Path) -> Path:
        data = {}
        for name, content in self.members.items():
            if name.endswith(".jsonl"):
                data[name] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
            else:
                data[name] = canonical_json(content).encode()
        digests = {name: hashlib.sha256(value).hexdigest() for name, value in data.items()}
        plan_hash = hashlib.sha256(data["plan.json"]).hexdigest()
        manifest = {**self.manifest, "members": digests, "plan_hash": plan_hash, "n_traces": len(self.traces)}
        self.summary["plan_hash"] = plan_hash
        data["summary.json"] = canonical_json(self.summary).encode()
        digests["summary.json"] = hashlib.sha256(data["summary.json"]).hexdigest()
        traces = [(trace_member(digest), self.traces[digest]) for digest in sorted(self.traces)]
        write_archive(path, [("manifest.json", canonical_json(manifest).encode()), *data.items(), *traces])
        return path


class Board:
    """A board without its service: what requests and jobs do, done here."""

    def __init__(self, database: str, folder: Path) -> None:
        self.settings = Settings(
            database=database, secret=SECRET, uploads=str(folder / "uploads"), traces=str(folder / "board-traces")
        ).checked()
        self.store = open_store(self.settings)

    def token(self, name: str, *scopes: Scope, role: Role = Role.SUBMITTER, days: float | None = 1) -> Token:
        with self.store.database.write() as connection:
            from vla_bench.server.accounts.people import list_accounts

            if name not in {row["name"] for row in list_accounts(connection)}:
                create_account(connection, name, role, actor="test")
            valid_for = None if days is None else timedelta(days=days)
            return create_token(connection, name, scopes or (Scope.SUBMIT,), valid_for=valid_for, actor="test")

    def principal(self, name: str, *scopes: Scope, role: Role = Role.SUBMITTER) -> Principal:
        token = self.token(name, *scopes, role=role)
        with self.store.database.read() as connection:
            found = authenticate(connection, token)
        assert found is not None
        return found[0]

    def seal(self, principal: Principal, bundle: Path) -> str:
        """Upload and seal; returns the submission's id."""
        data = bundle.read_bytes()
        with self.store.database.write() as connection:
            submission_id = uploads.open_upload(connection, principal, announcement(bundle))
        folder = PartFolder.of(self.settings, self.store, submission_id)

        async def arrive() -> Any:
            async def stream() -> AsyncIterator[bytes]:
                yield data

            return await folder.receive(1, stream())

        part = asyncio.run(arrive())
        with self.store.database.write() as connection:
            row = uploads.own_upload(connection, principal, submission_id)
            uploads.note_part(connection, row, 1, part.size, part.digest)
            part.keep()
            uploads.seal(connection, principal, submission_id)
        return submission_id

    def submit(self, principal: Principal, bundle: Path) -> tuple[str, State, str]:
        """Upload, seal and check; returns id, state and reason."""
        submission_id = self.seal(principal, bundle)
        state = process(self.store, self.settings, submission_id)
        with self.store.database.read() as connection:
            from vla_bench.server.submissions.states import find_submission

            return submission_id, state, find_submission(connection, submission_id)["reason"]


def announcement(bundle: Path) -> dict[str, Any]:
    forged = Forgery.of(bundle)
    data = bundle.read_bytes()
    return {
        "run_name": forged.manifest["run"],
        "plan_hash": forged.manifest["plan_hash"],
        "policy_digest": forged.manifest["policy_digest"],
        "eval_hash": forged.manifest["eval_hash"],
        "bundle_digest": hashlib.sha256(data).hexdigest(),
        "bundle_size": len(data),
        "declaration": forged.manifest["declaration"],
    }


@dataclass
class Service:
    """`vla-bench leaderboard` in a process of its own."""

    database: str
    folder: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "service.log"

    def start(self, port: int = 0, **variables: str) -> None:
        environment = os.environ | {
            "VLA_BENCH_BOARD_SECRET": SECRET,
            "VLA_BENCH_BOARD_UPLOADS": str(self.folder / "uploads"),
            "VLA_BENCH_BOARD_SUBMISSIONS_PER_HOUR": "1000",
            **variables,
        }
        command = [PROGRAM, "leaderboard", "--db", self.database, "--traces", str(self.folder / "board-traces")]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log.read_text()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._reap()

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def board(self) -> Board:
        return Board(self.database, self.folder)

    def client(self, token: Token | str) -> BoardClient:
        return BoardClient(self.url, str(token))


@contextmanager
def running(database: str, folder: Path, **variables: str) -> Iterator[Service]:
    service = Service(database, folder)
    try:
        service.start(**variables)
        yield service
    finally:
        service.stop()


def settled(ask: Callable[[], T]) -> T:
    """What is so once nothing changes for a while: a killed process's last request may still be on its way."""

    def same_twice() -> tuple[T] | None:
        before = ask()
        time.sleep(1.0)
        return (before,) if ask() == before else None

    found: tuple[T] = until(same_twice)
    return found[0]


def until(condition: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """Wait for something to become true, and return it."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
    return found
