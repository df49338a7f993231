"""`vla-bench suites`: what can be evaluated here. No simulator is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import AsJson, examples

if TYPE_CHECKING:
    from vla_bench.cli.schemas import SuiteModel
    from vla_bench.envs.runtime.install import InstallStatus
    from vla_bench.spec.suite import Suite

__all__ = ["app"]

app = typer.Typer(add_completion=False)
MOST_PROTOCOLS = 4
MOST_SINGLE = 5
"""More suites of one task than this are listed on demand only."""
Name = Annotated[str, typer.Argument(help="Show this suite with all its tasks.", show_default=False)]


@app.command(epilog=examples("vla-bench suites", "vla-bench suites toy_reach", "vla-bench suites --json"))
def suites(
    name: Name = "",
    protocol: Annotated[str, typer.Option(help="Protocol of the shown suite.")] = "",
    every: Annotated[bool, typer.Option("--all", help="List suites of a single task too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the suites with their protocols and tasks."""
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.schemas import SuitesModel
    from vla_bench.envs.registry import families, family_of, find_suite
    from vla_bench.envs.runtime.install import installation_status

    if name:
        chosen = [find_suite(name, protocol)]
    else:
        chosen = [family.suite(each) for family in families() for each in family.suite_names()]
    # Asked once per family: it looks at files and packages.
    found = {family: installation_status(family_of(family)) for family in {suite.family for suite in chosen}}
    models = [_describe(suite, found[suite.family]) for suite in chosen]
    if as_json:
        print_json(SuitesModel(suites=models).model_dump())
    elif name:
        _print_one(models[0])
    else:
        _print_all(models, every=every)


def _describe(suite: Suite, status: InstallStatus) -> SuiteModel:
    from vla_bench.cli.schemas import SuiteModel, TaskModel
    from vla_bench.envs.registry import family_of
    from vla_bench.envs.runtime.assets.needs import missing_assets

    family = family_of(suite)
    missing = missing_assets(family, suite)
    return SuiteModel(
        name=suite.name,
        family=suite.family,
        title=suite.title,
        protocol=suite.protocol.id,
        protocols=list(family.protocol_names(suite.name)),
        n_tasks=len(suite.tasks),
        n_episodes=len(suite.tasks) * suite.protocol.n_trials,
        cameras={camera.name: f"{camera.height}x{camera.width}" for camera in suite.cameras},
        state=dict(suite.state),
        n_actions=suite.action.n_entries,
        has_oracle=suite.privileged,
        is_deterministic=suite.deterministic,
        is_ready=status.is_ready and not missing,
        install=f"vla-bench assets install {missing}" if status.is_ready and missing else status.fix_line,
        provenance=dict(suite.provenance),
        tasks=[
            TaskModel(
                id=task.id,
                instruction=task.instruction,
                horizon=task.horizon,
                n_stages=task.n_stages,
                tags=dict(task.tags),
            )
            for task in suite.tasks
        ],
    )


def _print_all(models: list[SuiteModel], *, every: bool) -> None:
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import plain_table

    single = [suite for suite in models if suite.n_tasks == 1]
    hidden = [] if every or len(single) <= MOST_SINGLE else single
    table = plain_table("suite|", "tasks>", "episodes>", "protocols", "here|", "what it is")
    for suite in models:
        if suite not in hidden:
            here = "[good]ready[/]" if suite.is_ready else "[lost]no[/]"
            more = f" and {len(suite.protocols) - MOST_PROTOCOLS} more" if len(suite.protocols) > MOST_PROTOCOLS else ""
            protocols = f"{', '.join(suite.protocols[:MOST_PROTOCOLS])}{more}"
            row = f"[name]{suite.name}[/]", str(suite.n_tasks), str(suite.n_episodes), protocols, here, suite.title
            table.add_row(*row)
    console = answer()
    console.print(table)
    if hidden:
        names = f"{hidden[0].name} … {hidden[-1].name}"
        console.print(f"[dim]and {len(hidden)} suites of a single task ({names}): vla-bench suites --all[/]")
    for install in dict.fromkeys(suite.install for suite in models if suite.install):
        console.print(f"[lost]not ready here:[/] {install}", soft_wrap=True)


def _print_one(suite: SuiteModel) -> None:
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import facts, plain_table

    console = answer()
    console.print(f"[name]{suite.name}[/] {suite.protocol}: {suite.title}\n")
    rows = {
        "episodes": f"{suite.n_episodes} ({suite.n_tasks} tasks)",
        "protocols": ", ".join(suite.protocols),
        "cameras": ", ".join(f"{name} {size}" for name, size in suite.cameras.items()) or "none",
        "state": ", ".join(f"{key} [{n}]" for key, n in suite.state.items()),
        "actions": f"[{suite.n_actions}]",
        "here": "ready" if suite.is_ready else suite.install,
        **suite.provenance,
    }
    console.print(facts(rows))
    table = plain_table("task|", "horizon>", "stages>", "tags", "instruction")
    for task in suite.tasks:
        tags = ", ".join(str(value) for value in task.tags.values())
        table.add_row(task.id, str(task.horizon), str(task.n_stages), tags, task.instruction)
    console.print("")
    console.print(table)
