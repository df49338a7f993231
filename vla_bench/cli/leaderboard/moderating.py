"""What `retract`, `withdraw` and `resume` share: a submission, a public reason, and one request."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.spec.errors import UsageError

__all__ = ["Reason", "Submission", "check_reason", "moderate"]

Submission = Annotated[str, typer.Argument(metavar="ID", help="Id of the submission.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence; everybody can read it.")]


def check_reason(reason: str) -> None:
    """Refuse to change what everybody sees without a word of why.

    Raises:
        UsageError: there is none.
    """
    if not reason.strip():
        raise UsageError("say why: --reason TEXT, which everybody can read")


def moderate(action: str, submission: str, reason: str, server: str, token_env: str) -> None:
    """Do it over HTTP, and print the submission's new state.

    Args:
        action: last part of the address.
        submission: its id.
        reason: public.
        server: address of the leaderboard.
        token_env: variable with the token.

    Raises:
        UsageError: no reason; or as `board_client`.
        SubmissionRefused, BoardUnreachable: the board says no, or nothing.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.options import board_client

    check_reason(reason)
    with board_client(server, token_env) as client:
        state = client.post(f"submissions/{submission}/{action}", {"reason": reason})["state"]
    answer().print(f"submission {submission} is {state}")
