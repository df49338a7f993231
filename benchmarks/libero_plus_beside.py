"""LIBERO-Plus beside upstream's own code: scenes, states, pictures and noise of a sample of every dimension.

    .venv/bin/python benchmarks/libero_plus_beside.py tasks [--each 3] [--steps 4] [--seed 0]
    .venv/bin/python benchmarks/libero_plus_beside.py noise
    .venv/bin/python benchmarks/libero_plus_beside.py texts

`tasks` plays tasks drawn from each kind of variant in upstream's environment and in ours (see
`tests/envs/plus_beside.py`), noise under upstream's own stream, and compares camera, layout, states and both pictures
of every step. Light, background and added objects are played where their assets are installed, a stand-in included.
`noise` compares all fifty noises on two pictures, `texts` all rewritten instructions with upstream's parser, and the
joints of all robots. Motion blur on upstream's side wants ImageMagick (libmagickwand-6); without it these are left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.envs.plus_play import difference, play  # noqa: E402
from vla_bench.envs.libero.plus.archive import ARCHIVE  # noqa: E402
from vla_bench.envs.libero.plus.names import KINDS  # noqa: E402
from vla_bench.envs.libero.plus.robots import N_ROBOTS, perturbed_joints  # noqa: E402
from vla_bench.envs.libero.plus.table import PlusTask, plus_tasks  # noqa: E402
from vla_bench.envs.registry import family_of, find_suite  # noqa: E402
from vla_bench.envs.runtime.assets.installed import folder_of, installed_assets  # noqa: E402
from vla_bench.envs.runtime.install import installation_status  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tasks", "noise", "texts"])
    parser.add_argument("--each", type=int, default=3, help="tasks of each kind of variant")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    status = installation_status(family_of("libero"))
    if status.interpreter is None:
        raise SystemExit(f"{status.reason} Type: {status.fix_line}")
    {"tasks": tasks, "noise": noise, "texts": texts}[arguments.what](status.interpreter, arguments)


def has_magick(python: Path) -> bool:
    return subprocess.run([python, "-c", "import wand.image"], capture_output=True).returncode == 0


def drawn(kind: str, arguments: argparse.Namespace, *, with_motion: bool) -> list[PlusTask]:
    members = [task for task in plus_tasks() if task.variant.kind == kind]
    if kind == "noise" and not with_motion:
        members = [task for task in members if task.variant.noise > 10]
    order = np.random.default_rng([arguments.seed, list(KINDS).index(kind)]).permutation(len(members))
    return [members[index] for index in order[: arguments.each]]


def tasks(python: Path, arguments: argparse.Namespace) -> None:
    folder, record = folder_of(ARCHIVE), installed_assets(ARCHIVE.name)
    with_motion = has_magick(python)
    print(f"archive: {'none' if record is None else record.standin or record.digest}; ImageMagick: {with_motion}")
    print(f"{'dimension':<22} {'kind':<10} {'tasks':>5} {'equal':>6} {'CPU s upstream':>15} {'ours':>6}")
    n_equal_in_all = n_in_all = 0
    for kind in KINDS:
        chosen = drawn(kind, arguments, with_motion=with_motion)
        if ARCHIVE.lacking(folder, [task.variant.name for task in chosen]):
            print(f"{KINDS[kind].dimension:<22} {kind:<10} {'-':>5} its assets are not installed")
            continue
        names = [(task.base_suite, task.variant.name) for task in chosen]
        upstreams = play(python, loop="upstream", tasks=names, steps=arguments.steps)
        protocol = "noise_global_rng" if kind == "noise" else "published"
        ours = play(python, loop="ours", tasks=names, steps=arguments.steps, protocol=protocol)
        faults = [fault for pair in zip(ours, upstreams, strict=True) if (fault := difference(*pair))]
        n_equal = len(chosen) - len(faults)
        n_equal_in_all, n_in_all = n_equal_in_all + n_equal, n_in_all + len(chosen)
        cpu = [float(np.mean([record["cpu_s"] for record in records])) for records in (upstreams, ours)]
        line = f"{KINDS[kind].dimension:<22} {kind:<10} {len(chosen):>5} {n_equal:>6} {cpu[0]:>15.1f} {cpu[1]:>6.1f}"
        print(line, *faults, sep="\n  ", flush=True)
    print(f"{n_equal_in_all} of {n_in_all} tasks equal: camera, layout, and state and both pictures of every step")


def noise(python: Path, arguments: argparse.Namespace) -> None:
    numbers = list(range(1 if has_magick(python) else 11, 51))
    records = play(python, loop="noise", noises=numbers)
    print(f"{'noise':<18} {'pictures':>8} {'equal':>6} {'upstream ms':>12} {'ours ms':>8}")
    by_kind: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for record in records:
        by_kind[record["task"].split()[0]].append(record)
    for kind, members in by_kind.items():
        equal = sum(not record["n_different"] and record["is_same_stream"] for record in members)
        times = [float(np.mean([record[name] for record in members])) for name in ("upstream_ms", "ours_ms")]
        print(f"{kind:<18} {len(members):>8} {equal:>6} {times[0]:>12.1f} {times[1]:>8.1f}")


def texts(python: Path, arguments: argparse.Namespace) -> None:
    records = play(python, loop="texts")
    suite = find_suite("libero_plus")
    upstreams = {record["task"]: record for record in records}
    rewritten = [task for task in suite.tasks if task.params["variant"] == "language"]
    same = sum(task.instruction == upstreams[task.id]["instruction"] for task in rewritten)
    print(f"{same} of {len(rewritten)} rewritten instructions equal upstream's parser's")
    robots = records[-1]["robots"]
    same = sum(perturbed_joints(number).tolist() == robots[str(number)] for number in range(1, N_ROBOTS + 1))
    print(f"{same} of {N_ROBOTS} robots' joints equal upstream's")


if __name__ == "__main__":
    main()
