"""Every error that vla-bench raises on purpose, by who must act, which is also the outcome.

    VlaBenchError
    ├── UsageError              the user changes the command                    exit 2
    │   ├── UnknownName         ├ UnknownSuite · UnknownTask · UnknownProtocol · UnknownPolicy · UnknownRun
    │   │                       └ UnknownGroup · UnknownExecutor
    │   ├── NotListed           a leaderboard has no such board, row, policy, run or submission
    │   ├── MissingExtra        a Python package is not installed
    │   ├── SuiteNotInstalled   the suite's own environment or assets are missing
    │   ├── NoRenderer          pictures were asked for and no render back end works
    │   ├── ConventionMismatch  policy and suite cannot be bound
    │   ├── RunMismatch         the run exists with another plan, settings or policy
    │   ├── PlanMismatch        runs of different plans cannot be compared pair by pair
    │   └── EmptyPlan           no episodes are left to run
    ├── PolicyError             outcome policy_error                            exit 3
    │   ├── ServerUnreachable · PolicyTimeout · PolicyRaised · SessionLost · PolicyChanged · Unauthorized
    │   ├── BadRequest · BadReply · StaleReply · MessageTooLarge
    │   └── ActionError         an action is not finite, of the wrong shape or dtype, or out of bounds
    ├── EnvError                outcome env_error                               exit 3
    │   └── EnvStartFailed · EnvRaised · EnvCrashed · EnvHung · EnvLeaked · EnvUnstable · BlackPicture
    ├── HarnessError            outcome harness_error                           exit 70
    │   └── StoreError          ├ StoreFull · StoreLocked · StoreReadOnly · StoreCorrupted · SchemaMismatch
    │                           └ StoreUnreachable
    ├── IncompleteRun           planned episodes lack a judged outcome          exit 3
    ├── SubmissionRefused       a submission or a fetched bundle is refused     exit 1
    ├── BoardUnreachable        a leaderboard does not answer; to be repeated   exit 3
    └── Interrupted             Ctrl-C or SIGTERM                               exit 130

A message says what happened, with what values, and the next command. Programming mistakes stay `TypeError` and
`ValueError`: they are not caught and not dressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from vla_bench.spec.names import near_matches
from vla_bench.spec.outcomes import ExitCode, Outcome

__all__ = [
    "ActionError", "BadReply", "BadRequest", "BlackPicture", "BoardUnreachable", "ConventionMismatch", "EmptyPlan",
    "EnvCrashed", "EnvError", "EnvHung", "EnvLeaked", "EnvRaised", "EnvStartFailed", "EnvUnstable", "HarnessError",
    "IncompleteRun", "Interrupted", "MessageTooLarge", "MissingExtra", "NoRenderer", "NotListed", "PlanMismatch",
    "PolicyChanged", "PolicyError", "PolicyRaised", "PolicyTimeout", "RunMismatch", "SchemaMismatch",
    "ServerUnreachable", "SessionLost", "StaleReply", "StoreCorrupted", "StoreError", "StoreFull", "StoreLocked",
    "StoreReadOnly", "StoreUnreachable", "SubmissionRefused", "SuiteNotInstalled", "Unauthorized",
    "UnknownExecutor", "UnknownGroup", "UnknownName", "UnknownPolicy", "UnknownProtocol", "UnknownRun",
    "UnknownSuite", "UnknownTask", "UsageError", "VlaBenchError",
]  # fmt: skip


class VlaBenchError(Exception):
    """Root of the tree. `kind` is the stable snake_case name stored with an attempt and shown in score lines."""

    kind: ClassVar[str] = "internal"
    outcome: ClassVar[Outcome] = Outcome.HARNESS_ERROR
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class UsageError(VlaBenchError):
    """Raised when the command or its input is wrong; nothing has been run."""

    kind = "usage"
    outcome = Outcome.NOT_RUN
    exit_code = ExitCode.USAGE


class UnknownName(UsageError):
    """Raised when a name is not registered; the message names the near matches."""

    kind = "unknown_name"
    noun: ClassVar[str] = "name"
    listing: ClassVar[str] = "vla-bench --help"
    others: ClassVar[str] = ""
    """What may be given instead of a name; said where no name is near."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.near = tuple(near_matches(name, known))
        hint = f" Did you mean {' or '.join(repr(match) for match in self.near)}?" if self.near else ""
        others = f" {self.others}" if self.others and not self.near else ""
        super().__init__(f"unknown {self.noun} {name!r}.{hint} See `{self.listing}`.{others}")

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (self.name, self.near)


class UnknownSuite(UnknownName):
    """Raised when no suite has that name."""

    kind, noun, listing = "unknown_suite", "suite", "vla-bench suites"


class UnknownTask(UnknownName):
    """Raised when the suite has no task of that name."""

    kind, noun, listing = "unknown_task", "task", "vla-bench plan --suite SUITE"


class UnknownProtocol(UnknownName):
    """Raised when the suite has no protocol of that name."""

    kind, noun, listing = "unknown_protocol", "protocol", "vla-bench suites"


class UnknownPolicy(UnknownName):
    """Raised when a policy is neither a registered name, nor a URL, nor a configuration file."""

    kind, noun, listing = "unknown_policy", "policy", "vla-bench policies"
    others = "Or give a server's URL, a class (FILE.py:CLASS), a configuration (FILE.yaml) or an image (docker://NAME)."


class UnknownRun(UnknownName):
    """Raised when the database has no run of that name."""

    kind, noun, listing = "unknown_run", "run", "vla-bench runs"


class UnknownGroup(UnknownName):
    """Raised when the database has no group of that name."""

    kind, noun, listing = "unknown_group", "group", "vla-bench group list"


class UnknownExecutor(UnknownName):
    """Raised when no executor has that name."""

    kind, noun, listing = "unknown_executor", "executor", "vla-bench run --help"


class NotListed(UsageError):
    """Raised when a leaderboard has no board, row, policy, run, episode or submission of that name."""

    kind = "not_listed"


class MissingExtra(UsageError):
    """Raised when a package that this feature needs is not installed; the message is the install line."""

    kind = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs a package that is not installed. Type: pip install 'vla-bench[{extra}]'")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class SuiteNotInstalled(UsageError):
    """Raised when a suite's own environment or assets are missing; the message has the line that installs them."""

    kind = "suite_not_installed"


class NoRenderer(UsageError):
    """Raised when pictures are asked for and no render back end works; the message has the line that installs one."""

    kind = "no_renderer"


class ConventionMismatch(UsageError):
    """Raised by `bind()` with every mismatch between a policy and a suite in one message."""

    kind = "convention_mismatch"


class RunMismatch(UsageError):
    """Raised when a run of that name has another plan, other settings or another policy; the message is a diff."""

    kind = "run_mismatch"


class PlanMismatch(UsageError):
    """Raised when runs of different plans are to be compared pair by pair; the message says what they share."""

    kind = "plan_mismatch"


class EmptyPlan(UsageError):
    """Raised when the selection leaves no episode to run."""

    kind = "empty_plan"


class PolicyError(VlaBenchError):
    """Raised when the policy or its server did not give a usable answer: the episode is lost, not failed."""

    kind = "policy_error"
    outcome = Outcome.POLICY_ERROR
    exit_code = ExitCode.INCOMPLETE


class ServerUnreachable(PolicyError):
    """Raised when the connection to the policy server is refused or breaks."""

    kind = "server_unreachable"


class PolicyTimeout(PolicyError):
    """Raised when an answer did not arrive whole before the deadline."""

    kind = "policy_timeout"


class PolicyRaised(PolicyError):
    """Raised when the policy's own code raised in `reset` or `act`."""

    kind = "policy_raised"


class SessionLost(PolicyError):
    """Raised when the server no longer knows the session: it was restarted, or the session expired."""

    kind = "session_lost"


class PolicyChanged(PolicyError):
    """Raised when another policy answers behind the same URL; the run stops, nothing is mixed."""

    kind = "policy_changed"


class Unauthorized(PolicyError):
    """Raised when the server refuses the token."""

    kind = "unauthorized"


class BadRequest(PolicyError):
    """Raised for a request that a server cannot decode, or whose identity does not follow its session's last reset."""

    kind = "bad_request"


class BadReply(PolicyError):
    """Raised when an answer cannot be decoded or lacks a field."""

    kind = "bad_reply"


class StaleReply(PolicyError):
    """Raised when an answer belongs to another request, step, stage, attempt or episode; its actions are never used."""

    kind = "stale_reply"


class MessageTooLarge(PolicyError):
    """Raised when a request or an answer exceeds the size limit."""

    kind = "message_too_large"


class ActionError(PolicyError):
    """Raised when a returned action is not finite, of the wrong shape or dtype, or out of hard bounds."""

    kind = "bad_action"


class EnvError(VlaBenchError):
    """Raised when the simulator did not do its part: the episode is lost, not failed."""

    kind = "env_error"
    outcome = Outcome.ENV_ERROR
    exit_code = ExitCode.INCOMPLETE


class EnvStartFailed(EnvError):
    """Raised when a worker cannot start its simulator."""

    kind = "env_start_failed"


class EnvRaised(EnvError):
    """Raised when the simulator's own code raised, or a step returned nothing."""

    kind = "env_raised"


class EnvCrashed(EnvError):
    """Raised when the worker process died; the message names the signal or the exit status."""

    kind = "env_crashed"


class EnvHung(EnvError):
    """Raised when the worker was silent past its deadline and was killed."""

    kind = "env_hung"


class EnvLeaked(EnvError):
    """Raised when the worker's memory grew past its limit and it was killed."""

    kind = "env_leaked"


class EnvUnstable(EnvError):
    """Raised when the simulator reports an unstable state (MuJoCo resets itself in silence)."""

    kind = "env_unstable"


class BlackPicture(EnvError):
    """Raised when a rendered picture is black all over: a lost GL context, not a dark scene."""

    kind = "black_picture"


class HarnessError(VlaBenchError):
    """Raised when the fault is ours or the machine's: disk, database, a bug."""

    kind = "harness_error"


class StoreError(HarnessError):
    """Raised when results cannot be written or read."""

    kind = "store_error"


class StoreFull(StoreError):
    """Raised when the disk (or a file-size limit) is full; finished episodes are kept."""

    kind = "store_full"


class StoreLocked(StoreError):
    """Raised when another process holds the database past the wait."""

    kind = "store_locked"


class StoreReadOnly(StoreError):
    """Raised when the database or the trace folder cannot be written."""

    kind = "store_read_only"


class StoreCorrupted(StoreError):
    """Raised when the database file or a trace is damaged."""

    kind = "store_corrupted"


class SchemaMismatch(StoreError):
    """Raised when the database has a schema that this version cannot use as it is."""

    kind = "schema_mismatch"


class StoreUnreachable(StoreError):
    """Raised when the database server does not answer."""

    kind = "store_unreachable"


class IncompleteRun(VlaBenchError):
    """Raised when an answer wants a complete run and planned episodes of it have no judged outcome."""

    kind = "incomplete_run"
    outcome = Outcome.NOT_RUN
    exit_code = ExitCode.INCOMPLETE


class SubmissionRefused(VlaBenchError):
    """Raised when a leaderboard does not take a submission, or sends a bundle that is not what it says.

    The message has every reason, one a line.
    """

    kind = "submission_refused"
    outcome = Outcome.NOT_RUN
    exit_code = ExitCode.CHECK_FAILED

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


class BoardUnreachable(VlaBenchError):
    """Raised when a leaderboard does not answer: the same command goes on where it stopped."""

    kind = "board_unreachable"
    outcome = Outcome.NOT_RUN
    exit_code = ExitCode.INCOMPLETE


class Interrupted(VlaBenchError):
    """Raised when the user stops a command; the same command goes on where it stopped."""

    kind = "interrupted"
    outcome = Outcome.NOT_RUN
    exit_code = ExitCode.INTERRUPTED
