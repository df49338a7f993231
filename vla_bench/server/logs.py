"""Logs of the service: one line of JSON per event, with the request's id and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from vla_bench.server.settings import Settings

__all__ = ["configure", "hide_secrets"]

HIDDEN = "[hidden]"
_NAMES = re.compile(r"token|secret|password|authorization|cookie|csrf|api_?key", re.IGNORECASE)
_TOKEN = re.compile(r"(vlab_[0-9A-Za-z]{8})[0-9A-Za-z]+")
_CREDENTIALS = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every event of this process, structlog's and the standard library's, to `stream` (stderr)."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    render: Any = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if settings.log_format == "text":
        render = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, render]))
    root = logging.getLogger()
    root.handlers, root.level = [handler], max(level, logging.WARNING)


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank the values of keys that name a secret, and tokens and passwords inside of any text."""
    for key, value in event.items():
        event[key] = HIDDEN if _NAMES.search(key) and value else _without(value)
    return event


def _without(value: Any) -> Any:
    if isinstance(value, str):
        return _CREDENTIALS.sub(rf"\1:{HIDDEN}@", _TOKEN.sub(rf"\1{HIDDEN}", value))
    if isinstance(value, dict):
        return {key: HIDDEN if _NAMES.search(str(key)) else _without(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(item) for item in value]
    return value


def _drop_meta(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)
