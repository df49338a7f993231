"""The process of a child policy server: what `vla_bench.policies.launch` starts. People type `vla-bench serve` instead.

The order (target, options, token) comes as JSON on standard input. The answer is one line of JSON on the file
descriptor named on the command line: the port, or why there is none.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from vla_bench.policies.http.server import serve
from vla_bench.policies.load import load_policy
from vla_bench.spec.errors import MissingExtra, UsageError, VlaBenchError

__all__ = ["main"]


def main(ready_fd: int) -> int:
    """Serve the ordered policy over HTTP on a free loopback port until SIGTERM; returns the exit status."""
    # The parent shows the last line of this process where it dies: that is to be news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    # The pipe's end belongs to this process alone: what a policy starts must not keep the parent waiting.
    os.set_inheritable(ready_fd, False)
    order = sys.stdin.buffer.read()
    if not order:  # The parent died before it could say what to serve.
        return 1
    try:
        wanted = json.loads(order)
        policy = load_policy(wanted["target"], wanted["options"])
        serve(policy, port=0, token=wanted["token"], on_ready=lambda port: _tell(ready_fd, {"port": port}))
    except VlaBenchError as error:  # Told to the parent, which raises it again: one line there, no traceback here.
        _tell(ready_fd, _describe(error))
        return int(error.exit_code)
    return 0


def _describe(error: VlaBenchError) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": str(error), "is_usage": isinstance(error, UsageError)}
    if isinstance(error, MissingExtra):
        answer |= {"feature": error.feature, "extra": error.extra}
    return answer


def _tell(ready_fd: int, answer: Mapping[str, Any]) -> None:
    with os.fdopen(ready_fd, "w") as ready:
        ready.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
