"""`create_app`: the leaderboard as one application, HTML and JSON over the same read functions.

Routers live in the folders beside this module; whatever they share stands in `app.state`:

- `store`: the results (`vla_bench.results.store.Store`), whose `database` reads side by side
- `settings`: `vla_bench.server.settings.Settings`
- `metrics`: `vla_bench.server.metrics.Metrics`
- `error_page`: makes the page of an error, for people
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from vla_bench import __version__
from vla_bench.results.store import Store
from vla_bench.server import accounts, api, exports, health, problems, replays, submissions
from vla_bench.server.accounts.reading import CountReaders
from vla_bench.server.database import open_store
from vla_bench.server.fetching import routes as bundles
from vla_bench.server.metrics import Metrics
from vla_bench.server.middleware import EveryRequest
from vla_bench.server.pages.router import router as pages
from vla_bench.server.pages.site import error_page
from vla_bench.server.published.load import load_published
from vla_bench.server.settings import Settings

__all__ = ["create_app"]


def create_app(settings: Settings, *, store: Store | None = None) -> FastAPI:
    """Build the service.

    Args:
        settings: as `Settings.checked` returned them.
        store: results that the caller opened and closes; opened and closed with the service where None.

    Raises:
        SchemaMismatch: the database is older or newer than this version.
        UsageError, StoreError: the database or the traces cannot be opened.
    """
    opened = store or open_store(settings)
    if store is None and settings.shows_published and not opened.location.is_read_only:
        # So that the first visit already shows something true.
        load_published(opened.database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if store is None:
            opened.close()

    app = FastAPI(
        title=settings.title,
        description="Results of robot policies in simulation: boards, runs, episodes, comparisons, submissions.",
        version=__version__,
        lifespan=lifespan,
        # Swagger's page loads scripts from elsewhere: the schema is enough.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.settings, app.state.store = settings, opened
    app.state.metrics = metrics = Metrics(opened.database)
    app.state.error_page = error_page
    problems.add_handlers(app)
    # Exports before pages: a board's page answers to every address below /boards.
    for part in (health, api, submissions, bundles, accounts, replays, exports):
        app.include_router(part.router)
    app.include_router(pages)
    # Inside of the other: its refusals too have an id, headers and a line in the log.
    app.add_middleware(CountReaders)
    app.add_middleware(EveryRequest, owner=app, settings=settings, metrics=metrics)
    return app
