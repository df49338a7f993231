"""The servers that `transport.py` and `batching.py` measure, each in a process of its own, and what is sent to them.

`bare` is the floor: uvicorn, httptools and uvloop, an endpoint that reads the body and answers with constant bytes.
With `--pass-ms` it gathers the requests of `--sessions` clients and sleeps so long before it answers them: the same
forward pass. `ours` and `grpc` serve `StubPolicy`, which sleeps as long and returns one constant action.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import uvicorn

from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation, PolicyInfo

ACTIONS = np.zeros((1, 7), dtype=np.float32)
BARE_REPLY = ACTIONS.tobytes()


class StubPolicy:
    """Returns one constant action of 7 numbers after a forward pass that is a sleep."""

    def __init__(self, batch_limit: int, pass_s: float) -> None:
        self._batch_limit, self._pass_s = batch_limit, pass_s

    def info(self) -> PolicyInfo:
        """Declare the batch limit."""
        return PolicyInfo(name="stub", batch_limit=self._batch_limit)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Nothing to reset."""

    def act(self, batch: Sequence[Observation]) -> list[ActionChunk]:
        """Sleep, answer."""
        if self._pass_s:
            time.sleep(self._pass_s)
        return [ActionChunk(actions=ACTIONS) for _ in batch]

    def close(self, session: str) -> None:
        """Nothing to forget."""


class BareApp:
    """The floor (ASGI 3): read a body, wait for the others and for the pass where there are any, answer."""

    def __init__(self, n_sessions: int, pass_s: float) -> None:
        self._n_sessions, self._pass_s = n_sessions, pass_s
        self._gathered: list[asyncio.Future[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        pieces, is_more = [], True
        while is_more:
            message = await receive()
            pieces.append(message["body"])
            is_more = message["more_body"]
        b"".join(pieces)
        if self._pass_s:
            await self._join_pass()
        length = str(len(BARE_REPLY)).encode()
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BARE_REPLY})

    async def _join_pass(self) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._gathered.append(done)
        if len(self._gathered) == self._n_sessions:
            gathered, self._gathered = self._gathered, []
            loop.call_later(self._pass_s, lambda: [each.set_result(None) for each in gathered])
        await done


def question(session: str, step: int, request: str, n_pictures: int) -> Observation:
    """An observation with two pictures uint8 `[256, 256, 3]`, or none, and a state float32 `[8]`."""
    pictures = _PICTURES if n_pictures else {}
    identity = Identity(session, "benchmark", 0, 0, step, request)
    return Observation(identity=identity, images=pictures, state={"proprioception": _STATE}, instruction="push it")


_RANDOM = np.random.default_rng(0)
_PICTURES = {name: _RANDOM.integers(0, 256, (256, 256, 3), dtype=np.uint8) for name in ("front", "wrist")}
_STATE = np.arange(8, dtype=np.float32)


@contextlib.contextmanager
def running(kind: str, *, n_sessions: int = 1, pass_ms: float = 0.0) -> Iterator[tuple[int, int]]:
    """Run a server in a child process; yields its port and process id, and stops it."""
    command = [sys.executable, "-m", "benchmarks.policy_servers", kind]
    command += ["--sessions", str(n_sessions), "--pass-ms", str(pass_ms)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        ports = (line.split()[1] for line in child.stdout if line.startswith("port "))
        yield int(next(ports)), child.pid
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()


def process_cpu_s(pid: int) -> float:
    """CPU time of a process and all its threads so far, seconds: its clock on Linux, coarser elsewhere."""
    if sys.platform == "linux":
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of that process, as clock_getcpuclockid(3) makes it
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _announce(port: int) -> None:
    print(f"port {port}", flush=True)


def _serve_bare(app: BareApp) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    _announce(listener.getsockname()[1])
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["bare", "ours", "grpc"])
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--pass-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    pass_s = arguments.pass_ms / 1000.0
    if arguments.kind == "bare":
        _serve_bare(BareApp(arguments.sessions, pass_s))
    elif arguments.kind == "ours":
        from vla_bench.policies.http.server import serve

        serve(StubPolicy(arguments.sessions, pass_s), on_ready=_announce)
    else:
        from vla_bench.policies.grpc.server import serve as serve_grpc

        serve_grpc(StubPolicy(arguments.sessions, pass_s), on_ready=_announce)


if __name__ == "__main__":
    main()
