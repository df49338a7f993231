"""Starting the service from the command line."""

from __future__ import annotations

__all__ = ["serve_board"]


def serve_board(*, db: str, traces: str, host: str | None, port: int | None) -> None:
    """Serve until a signal; the URL goes to stdout, logs to stderr.

    Raises:
        UsageError: a setting is wrong or unsafe, or the address cannot be listened on.
        SchemaMismatch: the database has an older schema; the message has the line that upgrades it.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.server import logs
    from vla_bench.server.app import create_app
    from vla_bench.server.serving import listen, serve
    from vla_bench.server.settings import Settings

    settings = Settings.from_environment(database=db or None, traces=traces or None, host=host, port=port).checked()
    logs.configure(settings)
    app = create_app(settings)
    serve(app, settings, listen(settings), lambda url: answer().out(url, highlight=False))
