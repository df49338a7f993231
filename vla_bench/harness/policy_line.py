"""`PolicyLine`: how a run reaches its policy, notices that the server is gone, and gets it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep

import structlog

from vla_bench.policies.base import Deadlines, Policy, PolicyConnection, PolicySession
from vla_bench.policies.inline import InlineConnection
from vla_bench.policies.resolve import ResolvedPolicy
from vla_bench.policies.served import ServedPolicy
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import PolicyChanged, PolicyError, ServerUnreachable, Unauthorized
from vla_bench.spec.messages import PolicyInfo

__all__ = ["PolicyLine", "connect_policy"]

log = structlog.get_logger(__name__)

POLL_S = 0.25
"""How often a server that went away is asked whether it is back."""


class PolicyLine:
    """The policy of a run. Worker threads open sessions on it; only the runner's thread revives it.

    Attributes:
        info: the handshake, constant.
        is_ours: whether the server is a child of this process.
        route: key of the route that this line is; empty for a policy without routes.
    """

    def __init__(
        self,
        connection: PolicyConnection,
        *,
        served: ServedPolicy | None = None,
        is_ours: bool = False,
        route: str = "",
    ) -> None:
        """Hold a connection.

        Args:
            connection: to open sessions on.
            served: the same where it can be restored; None for a policy in this process.
            is_ours: see there.
            route: see there.
        """
        self._connection, self._served = connection, served
        self.route = route
        self.info: PolicyInfo = connection.info
        self.is_ours = is_ours

    @property
    def lines(self) -> Mapping[str, PolicyLine]:
        """This line, by its route."""
        return {self.route: self}

    def of(self, episode: Episode) -> PolicyLine:
        """This line: every episode takes it."""
        return self

    def open_session(self) -> PolicySession:
        """Open a session; see `PolicyConnection.open_session`."""
        with _named(self.route):
            return self._connection.open_session()

    def is_answering(self) -> bool:
        """Whether the server opens a session now.

        Raises:
            PolicyChanged, Unauthorized: it answers, but the run cannot go on with it.
        """
        try:
            self.open_session().close()
        except (PolicyChanged, Unauthorized):
            raise
        except PolicyError as error:
            log.debug("policy_server_silent", error=str(error))
            return False
        return True

    def revive(self, wait_s: float) -> None:
        """Start a server of ours anew, or ask one that is not until it answers.

        Args:
            wait_s: how long to ask, seconds; a server of ours either starts or does not.

        Raises:
            PolicyError: it did not come back, or as another policy.
        """
        if self._served is None:
            raise ServerUnreachable("the policy in this process opens no more sessions")
        give_up_at = monotonic() + wait_s
        while True:
            try:
                with _named(self.route):
                    self._served.restart()
                return
            except (PolicyChanged, Unauthorized):
                raise
            except PolicyError:
                if self.is_ours or monotonic() >= give_up_at:
                    raise
            sleep(POLL_S)

    def close(self) -> None:
        """Close the connection, end what is waiting on it, stop a server of ours; safe to call twice."""
        self._connection.close()


@contextmanager
def _named(route: str) -> Iterator[None]:
    """Say in an error which route it concerns."""
    try:
        yield
    except PolicyError as error:
        if not route:
            raise
        raise type(error)(f"route {route!r}: {error}") from error


def connect_policy(
    policy: ResolvedPolicy | Policy, deadlines: Deadlines, token: str | None, route: str = ""
) -> PolicyLine:
    """Reach a policy: by its URL, in a child server of its own, or in this process. The caller closes the line.

    Raises:
        UsageError: it cannot be built.
        PolicyError: it cannot be reached.
    """
    if isinstance(policy, ResolvedPolicy):
        with _named(route):
            served = policy.connect(deadlines, token)
        return PolicyLine(served, served=served, is_ours=policy.is_ours, route=route)
    return PolicyLine(InlineConnection(policy))
