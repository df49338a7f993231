"""CPU per request of the transports, client and server together: two pictures of 256×256 and a state → 7 numbers.

    python -m benchmarks.transport [--passes 7] [--requests 200]

The baseline is a bare uvicorn, httptools and uvloop endpoint taking the same bytes from a plain httpx2 client. Ours
does all of its work in each request: encoding, identity, batching, decoding, checking. A second baseline uses our own
client transport, so that the gain of talking to HTTPcore past httpx2's connection pool is not counted as ours. The
passes are interleaved, the ratio is the median over pairs; at most 1.5 is wanted of HTTP. CPU time, since wall time on
a shared machine says little.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

import httpx2

from benchmarks.policy_servers import process_cpu_s, question, running
from vla_bench.policies.base import PolicySession
from vla_bench.policies.codec import encode_observation
from vla_bench.policies.http.client import connect
from vla_bench.policies.http.transport import DeadlineTransport
from vla_bench.spec.messages import EpisodeInfo

TARGET = 1.5


class Contender(NamedTuple):
    """Something that is measured: what sends one request, and the process that answers it."""

    send: Callable[[], object]
    pid: int


class Cost(NamedTuple):
    """CPU per request, milliseconds."""

    client_ms: float
    server_ms: float

    @property
    def sum_ms(self) -> float:
        """Of both sides."""
        return self.client_ms + self.server_ms


def one_pass(contender: Contender, n_requests: int) -> Cost:
    """Send requests one after the other and read both clocks."""
    client_s, server_s = time.process_time(), process_cpu_s(contender.pid)
    for _ in range(n_requests):
        contender.send()
    client_s, server_s = time.process_time() - client_s, process_cpu_s(contender.pid) - server_s
    return Cost(client_s / n_requests * 1000.0, server_s / n_requests * 1000.0)


def bare_sender(client: httpx2.Client, port: int) -> Callable[[], object]:
    """Post the bytes of one observation, encoded once."""
    body = encode_observation(question("s" * 32, 0, "r" * 32, n_pictures=2))
    url = httpx2.URL(f"http://127.0.0.1:{port}/")
    return lambda: client.post(url, content=body, extensions={"timeout_s": 30.0})


def session_sender(session: PolicySession) -> Callable[[], object]:
    """Ask a new question each time."""
    session.reset(EpisodeInfo(episode="benchmark"))
    return lambda: session.act(question(session.id, 0, uuid.uuid4().hex, n_pictures=2))


def _contenders(stack: contextlib.ExitStack) -> dict[str, Contender]:
    bare_port, bare_pid = stack.enter_context(running("bare"))
    our_port, our_pid = stack.enter_context(running("ours"))
    plain = stack.enter_context(httpx2.Client(trust_env=False))
    transport = DeadlineTransport(httpx2.URL(f"http://127.0.0.1:{bare_port}"), max_bytes=2**20)
    same = stack.enter_context(httpx2.Client(trust_env=False, transport=transport))
    ours = stack.enter_context(contextlib.closing(connect(f"http://127.0.0.1:{our_port}")))
    contenders = {
        "bare": Contender(bare_sender(plain, bare_port), bare_pid),
        "bare, our client transport": Contender(bare_sender(same, bare_port), bare_pid),
        "ours, HTTP": Contender(session_sender(ours.open_session()), our_pid),
    }
    with contextlib.suppress(ImportError):  # gRPC is an extra
        from vla_bench.policies.grpc.client import connect as connect_grpc

        port, pid = stack.enter_context(running("grpc"))
        grpc = stack.enter_context(contextlib.closing(connect_grpc(f"grpc://127.0.0.1:{port}")))
        contenders["ours, gRPC"] = Contender(session_sender(grpc.open_session()), pid)
    return contenders


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        contenders = _contenders(stack)
        for contender in contenders.values():
            one_pass(contender, 20)
        costs: dict[str, list[Cost]] = {name: [] for name in contenders}
        for _ in range(arguments.passes):
            for name, contender in contenders.items():
                costs[name].append(one_pass(contender, arguments.requests))
    print(f"CPU per request, ms: median of {arguments.passes} interleaved passes of {arguments.requests} requests")
    for name, found in costs.items():
        client_ms, server_ms = (statistics.median(values) for values in zip(*found, strict=True))
        ratios = [
            statistics.median(cost.sum_ms / base.sum_ms for cost, base in zip(found, costs[baseline], strict=True))
            for baseline in ("bare", "bare, our client transport")
        ]
        print(
            f"{name:28s} client {client_ms:.3f}  server {server_ms:.3f}  "
            f"ratio to bare {ratios[0]:.2f}, to bare with our client transport {ratios[1]:.2f}"
        )
    print(f"wanted: ours, HTTP at most {TARGET} × bare")


if __name__ == "__main__":
    main()
