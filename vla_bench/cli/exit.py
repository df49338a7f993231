"""The one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.outcomes import ExitCode

__all__ = ["as_exit_code", "run_to_code", "stop_on_sigterm", "tell_error"]

# Typer carries its own copy of click or uses the installed one, by version; the class is found through a public child.
_ClickException: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def stop_on_sigterm() -> None:
    """Make SIGTERM what Ctrl-C is: an interruption that cleans up, keeps what is done and ends with 130."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@contextmanager
def as_exit_code(is_debug: Callable[[], bool]) -> Iterator[None]:
    """Turn what a command raises into `typer.Exit`; the parser's own errors pass on to `run_to_code`.

    It stands inside the parser's `main`, which would turn Ctrl-C and a broken pipe into codes of its own.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, _ClickException):
        raise
    except (KeyboardInterrupt, Exception) as error:  # every fault of a command ends here, as one line and a code
        raise typer.Exit(_tell_and_code(error, is_debug())) from error


def run_to_code(command: Any, args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; the parser's own complaints become `error:` lines with code 2."""
    try:
        code = command.main(args=args, prog_name="vla-bench", standalone_mode=False)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else ExitCode.OK
    except _ClickException as error:
        return _tell_usage(error)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except (KeyboardInterrupt, Exception) as error:  # outside of commands: help, completion, the last flush
        return _tell_and_code(error, is_debug=False)


def tell_error(message: str) -> None:
    """Print `error: message` to stderr."""
    from rich.markup import escape

    from vla_bench.cli.display.console import story

    story().print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def _tell_and_code(error: BaseException, is_debug: bool) -> int:
    if isinstance(error, BrokenPipeError):
        # Whoever read the answer has seen enough of it.
        _drop_output()
        return ExitCode.OK
    if is_debug:
        traceback.print_exception(error)
    if isinstance(error, VlaBenchError):
        tell_error(str(error))
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        tell_error("interrupted")
        return ExitCode.INTERRUPTED
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = "" if is_debug else " Add --debug to see the traceback."
    tell_error(f"a fault of vla-bench: {what}.{hint}")
    try:
        sys.stdout.flush()
    except OSError:
        # What cannot be written would be tried again when Python ends, whose exit code would then replace ours.
        _drop_output()
    return ExitCode.INTERNAL


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if type(error).__name__ != "NoArgsIsHelpError":
        stop = "" if message.endswith(("?", ".")) else "."
        way_out = f" See `{context.command_path} --help`." if context is not None else ""
        tell_error(f"{message}{stop}{way_out}")
    return ExitCode.USAGE
