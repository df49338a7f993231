"""Throughput of dynamic batching: many sessions, one client process each, against a 20 ms forward pass (a sleep).

    python -m benchmarks.batching [--sessions 8 16] [--passes 5] [--requests 40]

The baseline is bare transport plus the same pass: an endpoint that reads the same bytes, gathers the requests of all
sessions, sleeps once for the pass and answers them, with plain httpx2 clients. Passes are interleaved; the ratio is the
median over pairs. At least 0.85 is wanted, with states alone and with two pictures of 256×256.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import httpx2

from benchmarks.policy_servers import question, running
from vla_bench.policies.codec import encode_observation
from vla_bench.policies.http.client import connect
from vla_bench.spec.messages import EpisodeInfo

TARGET = 0.85


class Clients:
    """One process a session; all of them run the same command at the same time."""

    def __init__(self, n_sessions: int, ports: dict[str, int], n_pictures: int) -> None:
        command = [sys.executable, "-m", "benchmarks.batching", "--client", str(ports["bare"]), str(ports["ours"])]
        command.append(str(n_pictures))
        self._clients = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(n_sessions)
        ]
        self._await_all()

    def run(self, kind: str, n_requests: int) -> float:
        """Have every client send so many requests; returns requests per second of all together."""
        began = time.perf_counter()
        for client in self._clients:
            assert client.stdin is not None
            client.stdin.write(f"{kind} {n_requests}\n")
            client.stdin.flush()
        self._await_all()
        return len(self._clients) * n_requests / (time.perf_counter() - began)

    def close(self) -> None:
        """End them."""
        for client in self._clients:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.close()
            client.wait()
            client.stdout.close()

    def _await_all(self) -> None:
        for client in self._clients:
            assert client.stdout is not None
            if client.stdout.readline().strip() != "done":
                raise RuntimeError("a client process failed; its error stands above")


def client_main(bare_port: int, our_port: int, n_pictures: int) -> None:
    """One client process: reads commands, answers `done`."""
    body = encode_observation(question("s" * 32, 0, "r" * 32, n_pictures))
    bare = httpx2.Client(trust_env=False, timeout=60.0)
    session = connect(f"http://127.0.0.1:{our_port}").open_session()
    session.reset(EpisodeInfo(episode="benchmark"))
    print("done", flush=True)
    for line in sys.stdin:
        kind, n_requests = line.split()
        for _ in range(int(n_requests)):
            if kind == "bare":
                bare.post(f"http://127.0.0.1:{bare_port}/", content=body)
            else:
                session.act(question(session.id, 0, uuid.uuid4().hex, n_pictures))
        print("done", flush=True)
    session.close()


@contextlib.contextmanager
def _set_up(n_sessions: int, pass_ms: float, n_pictures: int) -> Iterator[tuple[Clients, int]]:
    with (
        running("bare", n_sessions=n_sessions, pass_ms=pass_ms) as (bare_port, _),
        running("ours", n_sessions=n_sessions, pass_ms=pass_ms) as (our_port, _),
        contextlib.closing(Clients(n_sessions, {"bare": bare_port, "ours": our_port}, n_pictures)) as clients,
    ):
        yield clients, our_port


def measure(n_sessions: int, *, n_pictures: int, pass_ms: float, n_passes: int, n_requests: int) -> float:
    """Print one line; returns the median ratio of our throughput to the baseline's."""
    with _set_up(n_sessions, pass_ms, n_pictures) as (clients, our_port):
        for kind in ("bare", "ours"):
            clients.run(kind, 5)
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(n_passes):
            for kind, found in rates.items():
                found.append(clients.run(kind, n_requests))
        sizes = _batch_sizes(our_port)
    ratio = statistics.median(ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True))
    print(
        f"{n_sessions:3d} sessions, {'2 pictures' if n_pictures else 'state only':10s}: "
        f"bare {statistics.median(rates['bare']):7.1f}/s, ours {statistics.median(rates['ours']):7.1f}/s, "
        f"ratio {ratio:.3f} (wanted: {TARGET}); rows a pass {sizes}",
        flush=True,
    )
    return ratio


def _batch_sizes(port: int) -> str:
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("vla_bench_policy_batches_total{")]
    counts = [line.replace('"', " ").split() for line in lines]
    return ", ".join(f"{words[1]}×{words[-1]}" for words in counts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--pass-ms", type=float, default=20.0)
    parser.add_argument("--client", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        client_main(*arguments.client)
        return
    for n_sessions in arguments.sessions:
        for n_pictures in (0, 2):
            measure(
                n_sessions,
                n_pictures=n_pictures,
                pass_ms=arguments.pass_ms,
                n_passes=arguments.passes,
                n_requests=arguments.requests,
            )


if __name__ == "__main__":
    main()
