"""What `run` does with its configuration: create what is missing, look ahead, or run and print."""

from __future__ import annotations

from vla_bench.cli.display.console import answer, print_json, story
from vla_bench.cli.display.progress import progress_display
from vla_bench.cli.display.report import print_preview, print_report
from vla_bench.harness.config import RunConfig
from vla_bench.spec.errors import Interrupted
from vla_bench.spec.outcomes import ExitCode

__all__ = ["create_missing_env", "print_preview_of", "run_and_print"]


def create_missing_env(config: RunConfig) -> None:
    """Create the suite's environment where it cannot run without; not for a policy that does not exist."""
    from vla_bench.cli.env import create
    from vla_bench.envs.registry import family_of
    from vla_bench.envs.runtime.install import installation_status
    from vla_bench.policies.resolve import resolve_policy

    family = family_of(config.suite)
    if isinstance(config.policy, str):
        resolve_policy(config.policy, config.policy_options)
    if not installation_status(family).is_ready:
        create(config.suite)


def print_preview_of(config: RunConfig, *, as_json: bool) -> None:
    """Print what a run would do; nothing is run or stored."""
    from vla_bench.harness.preview import preview_run

    preview = preview_run(config)
    if as_json:
        print_json(preview.to_dict())
    else:
        print_preview(preview, answer())


def run_and_print(config: RunConfig, *, as_json: bool) -> ExitCode:
    """Run with a progress display and print the result.

    Returns:
        `OK`, or `INCOMPLETE` where planned episodes have no judged outcome.
    """
    from vla_bench.harness.execute import execute_run

    try:
        with progress_display() as display:
            summary = execute_run(config, listener=display)
    except Interrupted:
        story().print(f"go on with: {config.command}", markup=False, soft_wrap=True)
        raise
    if as_json:
        print_json(summary.to_dict())
    else:
        print_report(summary, answer())
    # A shard has done its part where all of its own episodes are judged: the score waits for `merge`.
    is_done = summary.is_complete or bool(config.shard and display.tally.n_judged == display.tally.n_planned)
    return ExitCode.OK if is_done else ExitCode.INCOMPLETE
