"""`RoutedLine`: the lines to the servers of one policy, one per route; and how each of them is bound to the suite."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from vla_bench.harness.policy_line import PolicyLine, connect_policy
from vla_bench.harness.settings import settings_for
from vla_bench.policies.base import Deadlines, Policy
from vla_bench.policies.resolve import ResolvedPolicy, RoutedPolicy
from vla_bench.policies.routes import joined_info, routes_of
from vla_bench.spec.bind import Binding, bind
from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import ConventionMismatch
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = ["Bindings", "RoutedLine", "bind_line", "connect"]


class RoutedLine:
    """The policy of a run whose tasks go to several servers. Each route is a `PolicyLine` that lives and dies alone.

    Attributes:
        info: all routes of the plan as one policy, constant.
        lines: route → line.
    """

    def __init__(self, info: PolicyInfo, lines: Mapping[str, PolicyLine], routes: Mapping[str, str]) -> None:
        """Hold lines; `routes` maps task ids to their keys."""
        self.info, self.lines, self._routes = info, lines, routes

    def of(self, episode: Episode) -> PolicyLine:
        """The line that an episode takes."""
        return self.lines[self._routes[episode.task]]

    def close(self) -> None:
        """Close every line; safe to call twice."""
        with ExitStack() as stack:
            for line in self.lines.values():
                stack.callback(line.close)


Line = PolicyLine | RoutedLine
"""What a run holds of its policy: `info`, `lines`, `of(episode)` and `close`."""


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """How every route is joined with the suite.

    Attributes:
        settings: with what only the policy can say.
        by_route: route → conversion; one with an empty key where there are no routes.
    """

    settings: EvalSettings
    by_route: Mapping[str, Binding]


def connect(
    policy: ResolvedPolicy | RoutedPolicy | Policy, suite: Suite, plan: Plan, deadlines: Deadlines, token: str | None
) -> Line:
    """Reach a policy, or every server of it that the plan needs. The caller closes the line.

    Args:
        policy: as resolved, or a live object.
        suite: of the plan.
        plan: the whole one, whatever part of it this process runs: all parts are runs of one policy.
        deadlines: see there.
        token: of servers behind URLs, where no variable is named for them.

    Raises:
        UsageError: a task has no route, or a policy cannot be built.
        PolicyError: a server cannot be reached; the message names its route. Nothing is left running.
    """
    if not isinstance(policy, RoutedPolicy):
        return connect_policy(policy, deadlines, token)
    tasks = [episode.task for episode in plan.episodes]
    routes = routes_of(suite, tasks, policy.routes, policy.route_by)
    lines: dict[str, PolicyLine] = {}
    try:
        for key in dict.fromkeys(routes.values()):
            lines[key] = connect_policy(policy.routes[key], deadlines, token, route=key)
        infos = {key: line.info for key, line in lines.items()}
        return RoutedLine(joined_info(policy.label, infos, len(policy.routes)), lines, routes)
    except BaseException:
        for line in lines.values():
            line.close()
        raise


def bind_line(line: Line, suite: Suite, settings: EvalSettings) -> Bindings:
    """Bind every route by itself.

    Raises:
        ConventionMismatch: a route does not fit the suite, or the routes would be evaluated differently: then they are
            no one run.
    """
    infos = {route: each.info for route, each in line.lines.items()}
    found = {route: settings_for(settings, info) for route, info in infos.items()}
    first, *others = found
    for route in others:
        if found[route].eval_hash != found[first].eval_hash:
            raise ConventionMismatch(
                f"routes {first!r} and {route!r} look back differently (history {list(infos[first].history)} and "
                f"{list(infos[route].history)}): they cannot be one run"
            )
        lengths = infos[first].chunk_length, infos[route].chunk_length
        if settings.replan_horizon is None and lengths[0] != lengths[1]:
            raise ConventionMismatch(
                f"routes {first!r} and {route!r} answer with chunks of {lengths[0]} and {lengths[1]} actions: choose "
                "how many are kept of each with the setting `replan_horizon`"
            )
    return Bindings(
        settings=found[first],
        by_route={route: _bind(route, info, suite, found[first]) for route, info in infos.items()},
    )


def _bind(route: str, info: PolicyInfo, suite: Suite, settings: EvalSettings) -> Binding:
    try:
        return bind(info, suite, settings)
    except ConventionMismatch as error:
        if not route:
            raise
        raise ConventionMismatch(f"route {route!r}: {error}") from error
