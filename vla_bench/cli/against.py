"""`vla-bench verify --against-calvin-env`: a user's own checkout of CALVIN's environment beside ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.envs.calvin.beside import Comparison

__all__ = ["verify_against_calvin_env"]


def verify_against_calvin_env(checkout: Path, *, as_json: bool) -> bool:
    """Compare, print what was found, and return whether all is equal.

    Raises:
        UsageError: the folder is no checkout, or its code fails.
        MissingExtra, SuiteNotInstalled: PyBullet is not installed here.
        SuiteNotInstalled: our own assets are missing.
    """
    from vla_bench.cli.display.console import answer, print_json, story

    config = _upstream_config(checkout)
    try:
        from vla_bench.envs.calvin.beside import compare_with_checkout
    except ModuleNotFoundError as error:
        if error.name != "pybullet":
            raise
        from vla_bench.envs.calvin.family import lacking_pybullet

        in_311 = "uvx --python 3.11 --from 'vla-bench[calvin]' vla-bench verify --against-calvin-env PATH"
        raise lacking_pybullet("the comparison with calvin_env", in_311) from error
    comparison = compare_with_checkout(
        checkout, config, told=lambda rollout: story().print(f"[dim]{rollout}, on both sides[/]")
    )
    if as_json:
        print_json({**asdict(comparison), "is_equal": comparison.is_equal})
    else:
        answer().print(_in_words(comparison), soft_wrap=True)
    return comparison.is_equal


def _in_words(comparison: Comparison) -> str:
    commit = comparison.commit[:12] or "a commit unknown (no clone)"
    counted = (
        f"{comparison.n_steps:,} steps, {comparison.n_answers:,} answers of the oracle and {comparison.n_pictures}"
        " pictures"
    )
    made_up = f"\nmade up, not installed: {', '.join(comparison.stand_ins)}" if comparison.stand_ins else ""
    if (found := comparison.difference) is None:
        return f"[good]equal, bit for bit:[/] {counted}; calvin_env at {commit}{made_up}"
    return (
        f"[lost]different:[/] {found.rollout}, step {found.step}: {found.what} is {found.ours!r} here and"
        f" {found.theirs!r} there; compared {counted}; calvin_env at {commit}{made_up}"
    )


def _upstream_config(checkout: Path) -> dict[str, Any]:
    """The checkout's own settings of scene D, the arm with long fingers and both cameras."""
    import yaml

    def read(name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = yaml.safe_load((checkout / "conf" / name).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"{checkout} is no checkout of calvin_env: conf/{name} cannot be read") from error
        return content

    scene = read("scene/calvin_scene_D.yaml")
    robot = {**read("robot/panda.yaml"), **read("robot/panda_longer_finger.yaml")}
    del robot["defaults"]
    # What upstream's files take from one another.
    for name in ("base_position", "base_orientation", "initial_joint_positions"):
        robot[name] = scene[f"robot_{name}"]
    scene |= {"data_path": str((checkout / "data").resolve()), "euler_obs": robot["euler_obs"]}
    cameras = {name: read(f"cameras/cameras/{name}.yaml") for name in ("static", "gripper")}
    return {
        "robot": robot,
        "scene": scene,
        "cameras": cameras,
        "tasks": read("tasks/new_playtable_tasks.yaml")["tasks"],
    }
