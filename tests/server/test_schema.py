"""Every operation of the OpenAPI schema, asked what nobody would ask: never a fault of ours, on either database."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import structlog
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from tests.server.submitting import Board
from vla_bench.results.merge import merge
from vla_bench.server import logs
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.app import create_app
from vla_bench.server.boards.enter import enter_finished_runs

EXAMPLES = 8
"""Requests an operation; `make` has minutes, not hours."""


@pytest.fixture
def service(board: Board, toy_run: Path) -> Iterator[tuple[FastAPI, str]]:
    """A board with one run, and a token that may do everything."""
    kept = structlog.get_config()
    merge(board.store, [str(toy_run)])
    enter_finished_runs(board.store.database)
    token = str(board.token("ann", *Scope, role=Role.MAINTAINER))
    settings = board.settings.model_copy(
        update={"runs_jobs": False, "reads_per_minute": 10**6, "failed_tokens_per_minute": 10**6,
                "submissions_per_hour": 10**6, "request_s": 120.0, "max_part_bytes": 1 << 16},
    )  # fmt: skip
    logs.configure(settings, io.StringIO())
    yield create_app(settings, store=board.store), token
    structlog.configure(**kept)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_no_request_makes_a_fault_of_ours(service: tuple[FastAPI, str]) -> None:
    app, token = service
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    n_operations = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        n_operations += 1
        strategy = operation.as_strategy()

        @hypothesis_settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code < 500, f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text}"

        ask()
    assert n_operations > 20
