"""Readers of a full leaderboard: 200 policies × 10 suites × 2,000 episodes, 50 readers who think for 5 s.

    python benchmarks/leaderboard_load.py [--small] [--db PATH-or-URL] [--readers 50] [--seconds 120]

Makes the database (a temporary SQLite file, a file or an empty PostgreSQL database), starts the service on loopback,
lets readers go over all kinds of pages, and prints for each kind the median, the 95th percentile and the largest
answer. The time is that from the request to the last byte on loopback, so that it bounds the server's own from above.
A database that was made by an earlier call with the same sizes is used as it is.

It ends with 1 where the 95th percentile of all answers, or of one kind of page, is above 100 ms with PostgreSQL or
200 ms with SQLite, where a page has more than 150 KB, or where an answer is an error.

The runs of the first board go the service's own way onto it, its ranks computed once at the end; the further boards are
copies of its rows. Attempts are stored for the first run of each board only, which is the one whose episodes are read.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import sqlalchemy as sa
import structlog

from vla_bench.results import writing
from vla_bench.results.identity import RunIdentity
from vla_bench.results.leaderboard.boards import BOARD, BOARD_PAIR, BOARD_ROW, TASK_CELL
from vla_bench.results.rows import attempt_row, episode_row, suite_content, suite_digest
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.results.tables import AGGREGATE, ATTEMPT, EPISODE, RUN, SUITE
from vla_bench.server.boards import enter as entering
from vla_bench.server.boards import read
from vla_bench.server.published.load import load_published
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Latencies
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

N_TASKS = 40
LIMIT_MS = {"sqlite": 200.0, "postgresql": 100.0}
LIMIT_KB = 150.0


def suite_of(number: int, n_episodes: int) -> Suite:
    protocol = Protocol(
        name="standard", version=1, n_trials=n_episodes // N_TASKS, base_seed=0, action_bounds=ActionBounds.CLIP
    )  # fmt: skip
    tasks = tuple(
        Task(id=f"task-{i:02}", instruction=f"do number {i}", horizon=300, tags={"dimension": f"part {i % 7}"})
        for i in range(N_TASKS)
    )
    return Suite(
        name=f"load_{number}", family="load", title=f"Load {number}", protocol=protocol, tasks=tasks, cameras=(),
        state={}, action=ActionConvention(name="load", size=7), group_by=("dimension",),
    )  # fmt: skip


def attempt_of(is_success: bool, n_steps: int) -> AttemptResult:
    times = Latencies(
        wall_ms=9000.0, policy_ms=2000.0, env_ms=6500.0, n_queries=20, policy_p50_ms=99.0, policy_p95_ms=120.0,
        policy_max_ms=140.0,
    )  # fmt: skip
    return AttemptResult(
        attempt=0, outcome=Outcome.SUCCESS if is_success else Outcome.FAILURE, n_steps=n_steps, latencies=times,
        started_at="2026-11-01T00:00:00+00:00",
    )  # fmt: skip


def make(store: Store, n_policies: int, n_suites: int, n_episodes: int) -> None:
    """Fill the database; says how long it takes and what the last run of a full board costs to enter."""
    began, rng = time.monotonic(), np.random.default_rng(0)
    load_published(store.database)
    strength = np.sort(rng.beta(4, 2, n_policies))[::-1]
    suite = suite_of(0, n_episodes)
    plan = make_plan(suite)
    difficulty = rng.normal(0, 0.15, len(plan))
    for index in range(n_policies):
        policy = PolicyInfo(name=f"policy-{index:03}", version="1", weights_digest=f"{index:064x}")
        spec = RunSpec(name=f"load_0-{index:03}", suite=suite, plan=plan, settings=EvalSettings(), policy=policy)
        outcomes = rng.random(len(plan)) < np.clip(strength[index] + difficulty, 0.01, 0.99)
        _store_episodes(store, spec, outcomes, rng.integers(30, 300, len(plan)), has_attempts=index == 0)
        is_last = index == n_policies - 1
        entered = time.monotonic()
        with store.database.write() as connection, _ranks_later(not is_last):
            entering.enter_run(connection, spec.name)
        if is_last:
            print(f"  the last of {n_policies} runs entered in {time.monotonic() - entered:.2f} s", flush=True)
    print(f"  one board in {time.monotonic() - began:.0f} s", flush=True)
    for number in range(1, n_suites):
        with store.database.write() as connection:
            _clone(connection, number)
    _settle(store)
    took = time.monotonic() - began
    print(f"{n_policies * n_suites * n_episodes:,} episodes in {took:.0f} s", flush=True)


def is_made(store: Store, n_policies: int, n_suites: int, n_episodes: int) -> bool:
    """Whether an earlier call has filled the database to these sizes.

    Raises:
        SystemExit: it holds something else.
    """
    runs, boards = sa.select(RUN.c.id).where(RUN.c.name.like("load_%")), sa.select(BOARD.c.suite, BOARD.c.n_planned)
    with store.database.read() as connection:
        n_runs = len(connection.execute(runs).all())
        found = [n for suite, n in connection.execute(boards) if suite.startswith("load_")]
    if not n_runs and not found:
        return False
    if n_runs == n_policies * n_suites and found == [n_episodes] * n_suites:
        return True
    raise SystemExit(f"the database has {n_runs} runs on {len(found)} boards: give an empty one, or the sizes of this")


def _settle(store: Store) -> None:
    """What a server does by itself within minutes of such a load: rows seen, statistics, the log written away."""
    if store.database.is_sqlite:
        with store.database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
        return
    with store.database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        connection.exec_driver_sql("CHECKPOINT")


def _clone(connection: sa.Connection, number: int) -> None:
    """The first board with everything on it once more, under another name: rows by `INSERT … SELECT`."""
    board = connection.execute(sa.select(BOARD).where(BOARD.c.suite == "load_0")).mappings().one()
    shift, name = number * 100_000, f"load_{number}"
    suite = connection.execute(sa.select(SUITE).where(SUITE.c.name == "load_0")).mappings().one()
    digest = hashlib.sha256(name.encode()).hexdigest()
    content = {**suite["content"], "name": name}
    connection.execute(sa.insert(SUITE).values(**{**suite, "digest": digest, "name": name, "content": content}))
    summary = {**board["summary"]}
    summary["leaders"] = [{**each, "row_id": each["row_id"] + shift} for each in summary["leaders"]]
    slug = board["slug"].replace("load_0", name)
    new_board = {**board, "id": board["id"] + shift, "slug": slug, "suite": name, "summary": summary}
    connection.execute(sa.insert(BOARD).values(**new_board))
    runs = sa.select(BOARD_ROW.c.run_id).where(BOARD_ROW.c.board_id == board["id"])
    rows = sa.select(BOARD_ROW.c.id).where(BOARD_ROW.c.board_id == board["id"])
    renamed = {"name": sa.func.replace(RUN.c.name, "load_0", name), "suite_digest": sa.literal(digest)}
    for table, key, among, changed in (
        (RUN, "id", runs, {"id": shift, **renamed}),
        (AGGREGATE, "run_id", runs, {"run_id": shift}),
        (EPISODE, "run_id", runs, {"run_id": shift}),
        (ATTEMPT, "run_id", runs, {"run_id": shift}),
        (BOARD_ROW, "id", rows, {"id": shift, "board_id": shift, "run_id": shift}),
        (BOARD_PAIR, "row_a", rows, {"board_id": shift, "row_a": shift, "row_b": shift}),
        (TASK_CELL, "row_id", rows, {"row_id": shift}),
    ):
        values = [
            column if (new := changed.get(column.name)) is None else (column + new if isinstance(new, int) else new)
            for column in table.c
        ]
        copied = sa.select(*values).where(table.c[key].in_(among))
        connection.execute(sa.insert(table).from_select([column.name for column in table.c], copied))


@contextmanager
def _ranks_later(is_later: bool) -> Iterator[None]:
    if not is_later:
        yield
        return
    original, entering.rerank = entering.rerank, lambda *_: None
    try:
        yield
    finally:
        entering.rerank = original


def _store_episodes(
    store: Store, spec: RunSpec, outcomes: np.ndarray, steps: np.ndarray, *, has_attempts: bool
) -> None:
    results = [attempt_of(bool(ok), int(n)) for ok, n in zip(outcomes, steps, strict=True)]
    with store.database.write() as connection:
        # Not `Store.begin_run`: it looks over the whole file for damage, at every run.
        writing.create_run(connection, spec, _identity(spec))
        run_id = connection.scalar(sa.select(RUN.c.id).where(RUN.c.name == spec.name))
        planned = list(zip(spec.plan.episodes, results, strict=True))
        rows = [episode_row(run_id, i, episode, result, 1) for i, (episode, result) in enumerate(planned)]
        connection.execute(sa.insert(EPISODE), rows)
        if has_attempts:
            tries = [attempt_row(run_id, episode.id, 0, result, "") for episode, result in planned]
            connection.execute(sa.insert(ATTEMPT), tries)


def _identity(spec: RunSpec) -> RunIdentity:
    suite = suite_content(spec.suite)
    digests = {
        "suite": suite_digest(suite),
        "plan": spec.plan.plan_hash,
        "settings": spec.settings.eval_hash,
        "policy": spec.policy.digest,
    }
    settings, policy = spec.settings.to_dict(), to_plain(spec.policy)
    return RunIdentity(digests=digests, suite=suite, settings=settings, policy=policy, episodes=list)


def addresses(store: Store, rng: random.Random) -> dict[str, Callable[[], str]]:
    """Kind of page → makes an address of it."""
    heads = [head for head in read.boards(store.database) if head.suite.startswith("load_")]
    pages = [read.board_page(store.database, head.slug, size=200) for head in heads]
    rows = [row for page in pages for row in page.rows]
    first = [min(row.run_id for row in page.rows if row.run_id) for page in pages]
    episodes = {run: [line.episode_id for line in read.episodes_page(store.database, run).lines] for run in first}

    def row() -> int:
        return rng.choice(rows).id

    def of_two() -> str:
        a, b = rng.sample(rng.choice(pages).rows, 2)
        return f"/compare/{a.id}/{b.id}"

    def episode() -> str:
        run = rng.choice(first)
        return f"/runs/{run}/episodes/{rng.choice(episodes[run])}"

    return {
        "/": lambda: "/",
        "/boards": lambda: "/boards",
        "/boards/…": lambda: f"/boards/{rng.choice(heads).slug}",
        "/boards/… sorted": lambda: f"/boards/{rng.choice(heads).slug}?sort=policy",
        "/boards/… filtered": lambda: f"/boards/{rng.choice(heads).slug}?mark=self-reported&sort=score",
        "/policies/…": lambda: f"/policies/{rng.choice(rows).family}",
        "/runs/…": lambda: f"/runs/{rng.choice(rows).run_id}",
        "/runs/…/episodes": lambda: f"/runs/{rng.choice(rows).run_id}/episodes",
        "/runs/…/episodes/…": episode,
        "/compare/…": of_two,
        "/suites/…": lambda: f"/suites/{rng.choice(heads).suite}",
        "/suites": lambda: "/suites",
        "/latency": lambda: "/latency",
        "/log": lambda: "/log",
        "/methodology": lambda: "/methodology",
        "/api/v1/boards": lambda: "/api/v1/boards",
        "/api/v1/boards/…/rows": lambda: f"/api/v1/boards/{rng.choice(heads).slug}/rows",
        "/api/v1/rows/…": lambda: f"/api/v1/rows/{row()}",
        "/api/v1/policies/…": lambda: f"/api/v1/policies/{rng.choice(rows).family}",
        "/api/v1/runs/…": lambda: f"/api/v1/runs/{rng.choice(rows).run_id}",
        "/api/v1/runs/…/episodes": lambda: f"/api/v1/runs/{rng.choice(rows).run_id}/episodes",
        "/api/v1/compare": lambda: "/api/v1" + "/compare?a={1}&b={2}".format(*of_two().split("/")[1:]),
        "/api/v1/log": lambda: "/api/v1/log",
    }


async def readers(
    url: str, kinds: dict[str, Callable[[], str]], n_readers: int, seconds: float, think_s: float, rng: random.Random
) -> dict[str, list[tuple[float, int, int]]]:
    """Kind → milliseconds, status and size of every answer."""
    found: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    end = time.monotonic() + seconds

    async def reader(client: httpx2.AsyncClient) -> None:
        await asyncio.sleep(rng.uniform(0, think_s))
        while time.monotonic() < end:
            kind = rng.choice(list(kinds))
            began = time.perf_counter()
            answer = await client.get(kinds[kind]())
            found[kind].append((1000 * (time.perf_counter() - began), answer.status_code, len(answer.content)))
            await asyncio.sleep(rng.expovariate(1 / think_s))

    limits = httpx2.Limits(max_connections=n_readers, max_keepalive_connections=n_readers)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        for make_address in kinds.values():  # imports, templates and caches are paid once a start
            await client.get(make_address())
        await asyncio.gather(*(reader(client) for _ in range(n_readers)))
    return found


@contextmanager
def service(db: str, traces: Path) -> Iterator[str]:
    """The service in a process of its own, on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "VLA_BENCH_BOARD_SECRET": "of-a-benchmark-and-of-nothing-else-0123456789",
        "VLA_BENCH_BOARD_READS_PER_MINUTE": "1000000",
        "VLA_BENCH_BOARD_RUNS_JOBS": "false",
        "VLA_BENCH_BOARD_LOG_LEVEL": "error",
    }
    start = "from vla_bench.cli.main import main; main()"
    command = [sys.executable, "-c", start, "leaderboard", "--db", db, "--traces", str(traces)]
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 300
        while True:
            try:
                httpx2.get(f"{url}/healthz", timeout=5).raise_for_status()
                break
            except httpx2.HTTPError:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit("the service did not start") from None
                time.sleep(0.3)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def report(found: dict[str, list[tuple[float, int, int]]], limit_ms: float) -> bool:
    print(f"{'page':28} {'n':>5} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'KB':>6}  status")
    everything: list[float] = []
    odd: list[str] = []
    for kind, answers in found.items():
        times = [ms for ms, _, _ in answers]
        everything += times
        p50, p95 = np.percentile(times, (50, 95))
        statuses = sorted({status for _, status, _ in answers})
        size = max(size for _, _, size in answers) / 1000
        print(f"{kind:28} {len(times):5} {p50:8.1f} {p95:8.1f} {max(times):8.1f} {size:6.1f}  {statuses}")
        odd += [kind] if p95 > limit_ms or size > LIMIT_KB or max(statuses) >= 400 else []
    p50, p95 = np.percentile(everything, (50, 95))
    print(f"{'all':28} {len(everything):5} {p50:8.1f} {p95:8.1f} {max(everything):8.1f}")
    is_kept = p95 <= limit_ms and not odd
    verdict = "kept" if is_kept else f"not kept{': ' if odd else ''}{', '.join(odd)}"
    print(f"limits {limit_ms:g} ms, {LIMIT_KB:g} KB: {verdict}; load average {os.getloadavg()[0]:.1f}")
    return bool(is_kept)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--suites", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--small", action="store_true", help="20 policies × 3 suites × 200 episodes")
    parser.add_argument("--db", default="", help="empty, or full from an earlier call; a temporary file where left out")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--think", type=float, default=5.0, help="mean pause of a reader, s")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sizes = (20, 3, 200) if options.small else (options.policies, options.suites, options.episodes)
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        db, traces = options.db or str(Path(folder) / "load.db"), Path(folder) / "traces"
        with Store.open(db, traces) as store:
            if not is_made(store, *sizes):
                make(store, *sizes)
            kinds = addresses(store, rng)
            kind = store.database.location.url.get_backend_name()
        with service(db, traces) as url:
            found = asyncio.run(readers(url, kinds, options.readers, options.seconds, options.think, rng))
        return 0 if report(found, LIMIT_MS[kind]) else 1


if __name__ == "__main__":
    sys.exit(main())
