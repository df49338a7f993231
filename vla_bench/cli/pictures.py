"""`vla-bench pictures`: what the tasks of a suite look like, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import (
    AsJson,
    Dimensions,
    Levels,
    Protocol,
    Sample,
    SampleSeed,
    SuiteName,
    Tasks,
    Trials,
    chosen_tags,
    examples,
)
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.spec.suite import Suite

__all__ = ["app"]

app = typer.Typer(add_completion=False)
MOST = 400
"""Pictures on a sheet; more of them nobody looks at."""


@app.command(
    epilog=examples(
        "vla-bench pictures --suite toy_reach --trials 2",
        "vla-bench pictures --suite metaworld_mt10 --folder task_pictures",
        "vla-bench pictures --suite metaworld_plus --protocol compact --dimension camera --level 5 --out camera-5.webp",
    )
)
def pictures(
    suite: SuiteName,
    protocol: Protocol = "",
    task: Tasks = None,
    dimension: Dimensions = None,
    level: Levels = None,
    sample: Sample = None,
    sample_seed: SampleSeed = 0,
    trials: Trials = 1,
    camera: Annotated[str, typer.Option(help="Camera; the suite's first one where empty.")] = "",
    columns: Annotated[int, typer.Option(help="Pictures side by side.", min=1)] = 5,
    width: Annotated[int, typer.Option(help="Of each picture, pixels.", min=32)] = 240,
    out: Annotated[
        str, typer.Option(metavar="FILE", help="Sheet to write, .webp or .png; SUITE.webp where empty.")
    ] = "",
    folder: Annotated[
        str, typer.Option(metavar="FOLDER", help="Write FOLDER/SUITE/TASK.webp, a file per task, instead of a sheet.")
    ] = "",
    renderer: Annotated[str, typer.Option(help="Render back end; the first one that works where empty.")] = "",
    as_json: AsJson = False,
) -> None:
    """Draw the first picture of each task, as a policy would see it, and put them on one sheet.

    A task has a picture per trial, below one another where the tasks fit side by side.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.sheet import contact_sheet, save_each
    from vla_bench.cli.schemas import PicturesModel
    from vla_bench.envs.base import EnvOptions
    from vla_bench.envs.registry import find_suite, open_env
    from vla_bench.spec.episode import make_plan

    found = find_suite(suite, protocol)
    plan = make_plan(
        found,
        tasks=task or (),
        tags=chosen_tags(dimension, level),
        sample=sample,
        sample_seed=sample_seed,
        n_trials=trials,
    )
    name = _camera(found, camera)
    path = _folder(folder, found, out, trials) if folder else _path(out or f"{found.name}.webp")
    if len(plan) > MOST:
        raise UsageError(f"{len(plan)} pictures are more than {MOST}: choose by --task, --dimension, --level, --sample")
    env = open_env(found, EnvOptions(cameras=(name,), renderer=renderer))
    try:
        drawn = [(e.task, e.trial, env.reset(e).images[name]) for e in plan.episodes]
    finally:
        env.close()
    if folder:
        save_each([(task, picture) for task, _, picture in drawn], path, width=width)
    else:
        labelled = [(_label(task, trial, trials), picture) for task, trial, picture in drawn]
        contact_sheet(labelled, columns=columns, width=width).save(path)
    tasks = list(dict.fromkeys(episode.task for episode in plan.episodes))
    if as_json:
        model = PicturesModel(
            path=str(path),
            suite=found.name,
            protocol=found.protocol.id,
            camera=name,
            n_pictures=len(drawn),
            tasks=tasks,
        )
        print_json(model.model_dump())
    else:
        answer().print(f"{path}: {len(drawn)} pictures of {len(tasks)} tasks, camera {name}", soft_wrap=True)


def _label(task: str, trial: int, trials: int | None) -> str:
    return task if trials == 1 else f"{task} #{trial}"


def _camera(suite: Suite, camera: str) -> str:
    from vla_bench.spec.names import match_name

    known = [each.name for each in suite.cameras]
    if not known:
        raise UsageError(f"suite {suite.name!r} renders no pictures")
    if not camera:
        return known[0]
    if (match := match_name(camera, known)) is None:
        raise UsageError(f"suite {suite.name!r} has no camera {camera!r}; it has: {', '.join(known)}")
    return match


def _folder(folder: str, suite: Suite, out: str, trials: int | None) -> Path:
    from vla_bench.spec.names import file_name

    if out or trials != 1:
        raise UsageError("--folder writes one picture of each task: leave --out and --trials out")
    return Path(folder).expanduser() / file_name(suite.name)


def _path(out: str) -> Path:
    path = Path(out)
    if path.suffix not in (".webp", ".png"):
        raise UsageError(f"a sheet is a .webp or a .png, not {path.name!r}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"folder {path.parent} does not exist")
    return path
