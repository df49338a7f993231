"""Policies that show what reached them, and a server of one in a process of its own.

$ python -m tests.policies.stubs [--token T] [--name N] [--pass-s S]    prints `port N`
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vla_bench.spec.messages import ActionChunk, CameraRequest, EpisodeInfo, Observation, PolicyInfo

ROOT = Path(__file__).resolve().parents[2]


class EchoPolicy:
    """Answers with numbers made of its question alone: seed, step, state and pictures. Records every call."""

    def __init__(self, *, batch_limit: int = 8, pass_s: float = 0.0, name: str = "echo") -> None:
        self.batch_limit, self.pass_s, self.name = batch_limit, pass_s, name
        self.seeds: dict[str, int] = {}
        self.batches: list[list[str]] = []
        self.resets: list[tuple[str, EpisodeInfo]] = []
        self.closed: list[str] = []
        self.threads: set[str] = set()

    def info(self) -> PolicyInfo:
        self.threads.add(threading.current_thread().name)
        cameras = (CameraRequest(name="front", height=8, width=8),)
        return PolicyInfo(name=self.name, cameras=cameras, state={"p": 2}, chunk_length=2, batch_limit=self.batch_limit)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        self.threads.add(threading.current_thread().name)
        self.resets.append((session, episode))
        self.seeds[session] = episode.policy_seed

    def act(self, batch: Sequence[Observation]) -> list[ActionChunk]:
        self.threads.add(threading.current_thread().name)
        self.batches.append([row.identity.session for row in batch])
        if self.pass_s:
            time.sleep(self.pass_s)
        return [ActionChunk(actions=self._answer(row)) for row in batch]

    def close(self, session: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed.append(session)

    def _answer(self, row: Observation) -> np.ndarray:
        seen = [float(picture.mean()) for picture in row.images.values()]
        seen += [float(values.sum()) for values in row.state.values()]
        base = self.seeds[row.identity.session] + row.identity.step / 8 + sum(seen)
        return base + np.arange(8, dtype=np.float32).reshape(2, 4)


class WillfulPolicy(EchoPolicy):
    """An `EchoPolicy` whose methods can be replaced by functions."""

    def __init__(
        self,
        *,
        act: Callable[[Sequence[Observation]], object] | None = None,
        reset: Callable[[str, EpisodeInfo], None] | None = None,
        info: Callable[[], PolicyInfo] | None = None,
        batch_limit: int = 8,
    ) -> None:
        super().__init__(batch_limit=batch_limit)
        if act is not None:
            self.act = act  # type: ignore[method-assign, assignment]
        if reset is not None:
            self.reset = reset  # type: ignore[method-assign]
        if info is not None:
            self.info = info  # type: ignore[method-assign]


@contextlib.contextmanager
def server_process(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of an `EchoPolicy` in a process of its own; yields its URL and the process."""
    command = [sys.executable, "-m", "tests.policies.stubs", *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    try:
        port = next(line.split()[1] for line in child.stdout if line.startswith("port "))
        yield f"http://127.0.0.1:{port}", child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def main() -> None:
    from vla_bench.policies.http.server import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("--token")
    parser.add_argument("--name", default="echo")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pass-s", type=float, default=0.0)
    arguments = parser.parse_args()
    policy = EchoPolicy(name=arguments.name, pass_s=arguments.pass_s)
    serve(
        policy,
        port=arguments.port,
        token=arguments.token,
        on_ready=lambda port: print(f"port {port}", flush=True),
    )
    print(f"closed {len(policy.closed)}", flush=True)


if __name__ == "__main__":
    main()
