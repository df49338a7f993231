"""The two streams: `answer()` prints to stdout what was asked for, `story()` tells on stderr how it goes."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import Any, TextIO

from rich.console import Console
from rich.theme import Theme

__all__ = ["Transcript", "answer", "is_interactive", "keep_transcript", "print_json", "story"]

THEME = Theme(
    {
        "good": "green",
        "bad": "red",
        "lost": "yellow",
        "dim": "bright_black",
        "name": "bold",
        "number": "cyan",
        "note": "magenta",
    }
)
PIPE_WIDTH = 110
"""Columns where there is no terminal to ask: wide enough for every table of ours."""


Transcript = list[tuple[str, tuple[Any, ...], dict[str, Any]]]
"""Calls of a console: method, arguments, keywords."""

_transcript: Transcript | None = None


def keep_transcript() -> Transcript:
    """Keep what is printed to both consoles from now on, in a list that grows."""
    global _transcript
    _transcript = []
    return _transcript


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        if _transcript is not None:
            _transcript.append(("print", objects, options))
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        # The reader has left (`| head`): say no more, but end with the command's own exit code.
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@cache
def answer() -> Console:
    """The console of stdout."""
    return _console(sys.stdout, stderr=False)


@cache
def story() -> Console:
    """The console of stderr."""
    return _console(sys.stderr, stderr=True)


def is_interactive() -> bool:
    """Whether stderr is a terminal that lines can be redrawn on (`FORCE_COLOR` alone does not make it one)."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def print_json(value: Any) -> None:
    """Print a JSON value to stdout: indented for people, plain text for programs, no colours."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Straight to the stream: megabytes of it take seconds to be measured for a terminal's width.
    stream = answer().file
    stream.write(f"{text}\n")
    stream.flush()


def _console(stream: TextIO, *, stderr: bool) -> Console:
    if hasattr(stream, "reconfigure"):
        # A terminal without UTF-8 gets question marks for bars, not a UnicodeEncodeError.
        stream.reconfigure(errors="replace")
    return _Console(
        stderr=stderr,
        theme=THEME,
        highlight=False,
        force_terminal=True if _wants_colour_anywhere() else None,
        width=None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH,
    )


def _wants_colour_anywhere() -> bool:
    # FORCE_COLOR (https://force-color.org) and CLICOLOR_FORCE (https://bixense.com/clicolors); NO_COLOR wins, in Rich.
    return bool(os.environ.get("FORCE_COLOR")) or os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
