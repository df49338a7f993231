"""How long a submission of 10,030 episodes takes: bundle, upload over loopback, checks, listing.

    python benchmarks/leaderboard_submission.py [--steps 200] [--postgres URL] [--run FOLDER]

The run is made up (LIBERO-Plus's plan, random actions), so that no simulator is needed; everything else is real: the
service in a process of its own, SQLite or PostgreSQL, traces on disk. With `--run` the run is kept in that folder, and
one that is there is used. It is the first submission of a service that has just started: nothing is laid out before.
It ends with 1 where the whole takes 10 s or longer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import structlog

from vla_bench.envs.registry import find_suite
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.server.accounts.people import Scope, create_account, create_token
from vla_bench.server.client import BoardClient
from vla_bench.server.database import open_store
from vla_bench.server.settings import Settings
from vla_bench.server.submissions.declaration import Declaration
from vla_bench.server.submissions.send import Progress, submit
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult, Fingerprint, Latencies, Trace
from vla_bench.spec.settings import EvalSettings

SUITE = "libero_plus"
HORIZON = 10
LIMIT_S = 10.0
MACHINE = Fingerprint(cpu="x86_64 made up", os="Linux 6", python="3.11.7", packages={"mujoco": "3"})
DECLARATION = Declaration(
    family="made-up", training_data="none at all", trained_on="zero-shot", demonstrations_per_task=0,
    checkpoint_scope="one", selection_rule="there is only one", cameras=[], state=[],
)  # fmt: skip


def make_run(path: Path, n_steps: int) -> int:
    suite = find_suite(SUITE)
    plan, rng = make_plan(suite), np.random.default_rng(0)
    spec = RunSpec(
        name="big",
        suite=suite,
        plan=plan,
        settings=EvalSettings(),
        policy=PolicyInfo(name="made-up", weights_digest="00"),
    )
    with Store.open(path) as store:
        store.begin_run(spec)
        batch = []
        for episode in plan.episodes:
            batch.append(EpisodeResult(episode=episode, attempts=(_attempt(rng, n_steps),)))
            if len(batch) == 500:
                store.add("big", batch)
                batch = []
        store.add("big", batch)
        store.finish("big")
    return len(plan)


def _attempt(rng: np.random.Generator, n_steps: int) -> AttemptResult:
    steps = np.arange(0, n_steps, HORIZON, dtype=np.int32)
    latency = rng.gamma(9.0, 4.0, len(steps)).astype(np.float32)
    digests = tuple(rng.bytes(16).hex() for _ in range(len(steps) + 1))
    actions = rng.uniform(-1, 1, (n_steps, 7)).astype(np.float32)
    trace = Trace(actions=actions, query_steps=steps, digests=digests, latency_ms=latency, server_ms=latency / 2)
    times = Latencies(
        wall_ms=float(latency.sum()) + 4000.0, policy_ms=float(latency.sum()), env_ms=3900.0, n_queries=len(steps),
        policy_p50_ms=float(np.median(latency)), policy_p95_ms=float(np.quantile(latency, 0.95)),
        policy_max_ms=float(latency.max()),
    )  # fmt: skip
    return AttemptResult(
        attempt=0,
        outcome=Outcome.SUCCESS if rng.random() < 0.9 else Outcome.FAILURE,
        n_steps=n_steps,
        initial_digest=digests[0],
        final_digest=digests[-1],
        latencies=times,
        fingerprint=MACHINE,
        trace=trace,
        started_at="2030-01-01T00:00:00+00:00",
    )


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--postgres", default="", help="an empty database; a temporary SQLite file where left out")
    parser.add_argument("--run", type=Path, help="folder of the made-up run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mine = (options.run or folder) / "mine.db"
        if not mine.exists():
            begun = time.monotonic()
            n_episodes = make_run(mine, options.steps)
            print(f"made up {n_episodes} episodes of {options.steps} steps in {time.monotonic() - begun:.1f} s")
        took = measure(folder, mine, options.postgres or str(folder / "board.db"))
    return int(took >= LIMIT_S)


def measure(folder: Path, mine: Path, database: str) -> float:
    """Submit the run and print what it took; returns the seconds from the first byte to the verdict."""
    secret = "x7" * 20 + "k3j5h8"
    settings = Settings(database=database, secret=secret)
    with open_store(settings) as store, store.database.write() as connection:
        create_account(connection, "bench", actor="bench")
        token = create_token(connection, "bench", [Scope.SUBMIT], actor="bench")
    command = [str(Path(sys.executable).parent / "vla-bench"), "leaderboard", "--db", database, "--port", "0"]
    environment = os.environ | {"VLA_BENCH_BOARD_SECRET": secret, "VLA_BENCH_BOARD_LOG_LEVEL": "warning"}
    traces = ["--traces", str(folder / "traces")]
    service = subprocess.Popen([*command, *traces], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        marks: dict[str, float] = {}

        def told(at: Progress) -> None:
            marks.setdefault(at.stage, time.monotonic())

        with Store.open(mine, read_only=True) as store, BoardClient(url, str(token)) as client:
            used, own = _processor_s(service.pid), time.process_time()
            begun = time.monotonic()
            sent = submit(client, store, "big", DECLARATION, told=told)
            ended = time.monotonic()
            used, own = _processor_s(service.pid) - used, time.process_time() - own
    finally:
        service.terminate()
        service.wait(30)
        assert service.stdout is not None
        service.stdout.close()
    print(f"bundle {sent.bundle_bytes / 2**20:.1f} MiB in {marks['upload'] - begun:.2f} s (first part included)")
    print(f"upload {marks['check'] - marks['upload']:.2f} s, checks and listing {ended - marks['check']:.2f} s")
    print(f"whole submission {ended - begun:.2f} s, state {sent.state}")
    print(f"processor time: service {used:.1f} s, client (its bundle) {own:.1f} s")
    print(f"load average {os.getloadavg()[0]:.1f}")
    return ended - begun


def _processor_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    sys.exit(main())
