"""A local board: finished runs are put on their boards, the service listens on loopback, the browser opens."""

from __future__ import annotations

__all__ = ["open_board"]


def open_board(*, db: str, traces: str, port: int, with_browser: bool, with_published: bool) -> None:
    """Serve one's own results until Ctrl-C; the URL goes to stdout.

    Raises:
        UsageError: there is no database yet, or the port cannot be listened on.
        StoreError: (a child) it cannot be read or written.
    """
    import webbrowser

    from vla_bench.cli.display.console import answer, story
    from vla_bench.cli.reading import open_results
    from vla_bench.server.app import create_app
    from vla_bench.server.boards.enter import enter_finished_runs
    from vla_bench.server.database import open_store
    from vla_bench.server.published.load import load_published
    from vla_bench.server.serving import listen, serve
    from vla_bench.server.settings import Settings

    # An own file of an older schema is upgraded here, a copy beside it; it is told.
    open_results(db).close()
    settings = Settings(
        database=db, traces=traces, port=port, accepts_submissions=False, runs_jobs=False, title="My results",
        shows_published=with_published, log_level="warning",
    ).checked()  # fmt: skip
    with open_store(settings) as store:
        entered = enter_finished_runs(store.database)
        if with_published:
            load_published(store.database)
        app = create_app(settings, store=store)

        def ready(url: str) -> None:
            answer().out(url, highlight=False)
            more = f"{len(entered)} runs are new on it. " if entered else ""
            story().print(f"your board; {more}Only this machine reaches it. Stop it with Ctrl-C.")
            if with_browser:
                webbrowser.open(url)

        serve(app, settings, listen(settings), ready)
