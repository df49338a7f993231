"""Processes for the tests of faults: `python processes.py WHAT DB [SHARD]`. They print one line per fact.

`fill` begins the run and stores its episodes one by one; `hang` stores two, and stops inside a transaction;
`read` prints the score. An error of ours is printed as `ERROR kind message`, and what is kept as `KEPT n`.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import replace

import sqlalchemy as sa
import structlog

from tests.results import samples
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.results.tables import EPISODE
from vla_bench.spec.episode import Shard
from vla_bench.spec.errors import VlaBenchError

N_TASKS, N_TRIALS = 10, 20


def the_spec() -> RunSpec:
    return samples.spec(of=samples.suite(N_TASKS, N_TRIALS))


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def fill(db: str, shard: str = "1/1") -> None:
    spec = the_spec()
    with Store.open(db) as store:
        store.begin_run(replace(spec, shard=shard))
        say("begun")
        for number, episode in enumerate(Shard.parse(shard).of(spec.plan)):
            # A thousand steps: some 15 kB a trace, which no compression helps.
            store.add(spec.name, [samples.result(episode, trace=samples.trace(number, 1000))])
            say(episode.id)


def hang(db: str) -> None:
    spec = the_spec()
    with Store.open(db) as store:
        store.begin_run(spec)
        for episode in spec.plan.episodes[:2]:
            store.add(spec.name, [samples.result(episode)])
            say(episode.id)
        with store.database.write() as connection:
            connection.execute(sa.update(EPISODE).values(outcome="failure"))
            say("inside")
            time.sleep(600)


def read(db: str) -> None:
    with Store.open(db) as store:
        for summary in store.summaries():
            say("SCORE", summary.score_line)
        store.begin_run(the_spec())


def main(what: str, *arguments: str) -> int:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if limit := os.environ.get("FILE_SIZE_LIMIT"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        {"fill": fill, "hang": hang, "read": read}[what](*arguments)
    except VlaBenchError as error:
        say("ERROR", error.kind, str(error).replace("\n", " "))
        try:
            with Store.open(arguments[0], read_only=True) as store:
                say("KEPT", len(store.outcomes(the_spec().name)))
        except VlaBenchError as further:
            say("UNREADABLE", further)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
