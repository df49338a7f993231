"""Log events of the library on stderr, as lines that a running progress display moves out of the way."""

from __future__ import annotations

import logging
import warnings
from collections.abc import MutableMapping
from typing import Any

import structlog

__all__ = ["configure_logs"]


TOLD_BY_THE_DISPLAY = frozenset({"waiting_for_server"})
SENTENCES = {"policy_server_replaced": "[lost]the policy server had ended[/] (process {pid}): {why}"}
"""Events that have words of their own in the story."""


class _StoryLogger:
    """Writes finished lines through the story's console, so that they scroll above a live display."""

    def msg(self, message: str) -> None:
        from vla_bench.cli.display.console import story

        story().print(message, markup=False, highlight=False, soft_wrap=True)

    log = debug = info = warning = warn = error = critical = exception = failure = fatal = msg


def _tell(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what the progress display says anyhow, and say in a sentence what has one."""
    from rich.markup import escape

    from vla_bench.cli.display.console import story

    if event["event"] in TOLD_BY_THE_DISPLAY:
        raise structlog.DropEvent
    if sentence := SENTENCES.get(event["event"]):
        story().print(sentence.format_map({key: escape(str(value)) for key, value in event.items()}), soft_wrap=True)
        raise structlog.DropEvent
    return event


def _show_warning(message: Warning | str, *where: Any, **options: Any) -> None:
    from rich.markup import escape

    from vla_bench.cli.display.console import story

    story().print(f"[lost]warning:[/] {escape(str(message))}", soft_wrap=True)


def configure_logs(*, debug: bool = False) -> None:
    """Show warnings and worse; everything with `debug`. The library itself never configures logging."""
    warnings.showwarning = _show_warning
    structlog.configure(
        processors=[
            *([] if debug else [_tell]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S"),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.WARNING),
        logger_factory=lambda *args: _StoryLogger(),
        cache_logger_on_first_use=False,
    )
