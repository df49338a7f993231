"""Finds a render back end that works, by trying each in a child process: a broken driver crashes only the child.

For MuJoCo on Linux: EGL on a GPU, EGL in software, OSMesa; GLFW where a screen is there. On macOS: CGL, GLFW.
For PyBullet, whose suites name one in their protocol: its own TinyRenderer, EGL on a GPU, EGL in software.
The choice is remembered for the process, and in a cache file for the next one; failures are never remembered.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from vla_bench.envs.runtime.home import cache_folder
from vla_bench.envs.runtime.install import interpreter_with
from vla_bench.envs.runtime.probes.choice import EglDevice, choose_devices, read_device
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.errors import NoRenderer, UsageError
from vla_bench.spec.names import normalise_name

__all__ = ["APT_LINE", "Renderer", "RendererReport", "choose_renderer", "probe_renderers"]

APT_LINE: Final = "apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libosmesa6"
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "mujoco": ("egl", "egl-gpu", "egl-software", "osmesa", "cgl", "glfw"),
    "bullet": ("tiny", "egl-gpu", "egl-llvmpipe"),
}
"""Kind of simulator → what may be asked for; `egl` is the better of the two kinds."""

_PROBES: Final = Path(__file__).parent / "probes"
_TIMEOUT_S: Final = 60.0  # a first EGL context takes up to 9 s on a machine that is overloaded
_MAX_GPUS: Final = 4
_SOFTWARE: Final = ("llvmpipe", "softpipe", "swrast", "software")
_SOFTWARE_EGL: Final = {"mujoco": "egl-software", "bullet": "egl-llvmpipe"}
_EGL_DEVICE: Final = {"mujoco": "MUJOCO_EGL_DEVICE_ID", "bullet": "EGL_VISIBLE_DEVICES"}
_PACKAGE: Final = {"mujoco": "mujoco", "bullet": "pybullet"}
_ALIASES: Final = {"glx": "glfw", "on": "", "enable": "", "enabled": "", "true": "", "1": ""}
_OFF: Final = ("off", "disable", "disabled", "false", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """A render back end that works.

    Attributes:
        name: one of `NAMES`, never the mere `egl`.
        env: environment variables that select it, for the worker.
        facts: `name`, `vendor`, `renderer`, `version`, for the fingerprint.
    """

    name: str
    env: Mapping[str, str]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RendererReport:
    """What a probe found out about one back end.

    Attributes:
        name: of the back end.
        works: whether it rendered a scene that is not black.
        detail: vendor and renderer, or why it does not work, in one line.
        fix_line: the line to type where it does not work; empty where none is known.
        renderer: set where it works.
    """

    name: str
    works: bool
    detail: str
    fix_line: str = ""
    renderer: Renderer | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        return self.name.partition("-")[0]


_chosen: dict[str, Renderer] = {}


def choose_renderer(kind: str, wanted: str = "") -> Renderer:
    """The first back end that works, or the wanted one.

    `wanted` wins over `MUJOCO_GL`, and that over the order of the module's opening. `MUJOCO_EGL_DEVICE_ID` is kept;
    where it is not set, the EGL device follows `CUDA_VISIBLE_DEVICES`.

    Args:
        kind: of simulator; `mujoco` or `bullet`.
        wanted: one of `NAMES[kind]`, empty for the first that works.

    Raises:
        NoRenderer: none works; the message is one line with what to type.
        UsageError: no back end has the wanted name.
    """
    python = interpreter_with(kind)
    wanted = _wanted_name(kind, wanted)
    key = _key(kind, wanted, python)
    renderer = _chosen.get(key) or _recall(key)
    if renderer is None:
        renderer = _first_working(kind, wanted, python)
        _remember(key, renderer)
    _chosen[key] = renderer
    return renderer


def probe_renderers(kind: str) -> list[RendererReport]:
    """Try every back end, nothing remembered; for `vla-bench doctor`. Takes a few seconds."""
    python = interpreter_with(kind)
    return [_probe(candidate, kind, python) for candidate in _candidates(kind)]


def _first_working(kind: str, wanted: str, python: Path | None) -> Renderer:
    failures = []
    for candidate in _candidates(kind):
        # A device that the user chose is only known to be a GPU, or not, once it has been tried.
        is_open = candidate.name == "egl" and wanted.startswith("egl")
        if wanted and not is_open and wanted not in (candidate.name, candidate.backend):
            continue
        report = _probe(candidate, kind, python)
        if report.renderer is not None and wanted in ("", report.renderer.name, candidate.backend):
            return report.renderer
        failures.append(f"{candidate.name}: {report.detail}")
    what = f"render back end {wanted!r} does not work here" if wanted else "no render back end works here"
    tried = "; ".join(failures) or "there is no such device"
    fix = f" Type: {APT_LINE}." if sys.platform == "linux" and wanted != "egl-gpu" else ""
    other = " A protocol with another renderer is another board: `vla-bench suites`." if kind == "bullet" else ""
    raise NoRenderer(f"{what} ({tried}).{fix}{other} Policies that ask for no pictures still run.")


def _wanted_name(kind: str, wanted: str) -> str:
    given = wanted or (os.environ.get("MUJOCO_GL", "") if kind == "mujoco" else "")
    name = given.strip().lower()
    if not wanted and name in _OFF:
        raise NoRenderer(f"MUJOCO_GL={given} switches rendering off. Policies that ask for no pictures still run.")
    name = _ALIASES.get(name, name)
    by_form = {normalise_name(known): known for known in NAMES[kind]}
    if name and normalise_name(name) not in by_form:
        raise UsageError(f"unknown render back end {given!r}. There are: {', '.join(NAMES[kind])}")
    return by_form[normalise_name(name)] if name else ""


def _candidates(kind: str) -> Iterator[_Candidate]:
    if kind == "bullet":
        yield _Candidate("tiny", _variables(kind, "tiny"))
        yield from _egl_candidates(kind)
        return
    if sys.platform == "darwin":
        yield _Candidate("cgl", _variables(kind, "cgl"))
    else:
        yield from _egl_candidates(kind)
        yield _Candidate("osmesa", _variables(kind, "osmesa"))
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        yield _Candidate("glfw", _variables(kind, "glfw"))


def _egl_candidates(kind: str) -> Iterator[_Candidate]:
    if chosen_by_user := os.environ.get(_EGL_DEVICE[kind]):
        yield _Candidate("egl", _variables(kind, "egl", chosen_by_user))
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = _list_devices(dict(os.environ))
    everything = seen
    if visible is not None:
        everything = _list_devices({k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"})
    chosen = choose_devices(everything, seen, visible)
    gpus = [device for device in chosen if not device.is_software][:_MAX_GPUS]
    for device in gpus:
        yield _Candidate("egl-gpu", _variables(kind, "egl", str(device.index)))
    for device in [device for device in chosen if device.is_software][:1]:
        yield _Candidate(_SOFTWARE_EGL[kind], _variables(kind, "egl", str(device.index)))
    if not chosen:
        # Tried all the same: the binding's own words say what is missing.
        yield _Candidate("egl", _variables(kind, "egl"))


def _variables(kind: str, backend: str, egl_device: str = "") -> dict[str, str]:
    chosen = {"MUJOCO_GL": backend} if kind == "mujoco" else {"PYBULLET_RENDERER": backend}
    if kind == "mujoco" and backend in ("egl", "osmesa"):
        chosen["PYOPENGL_PLATFORM"] = backend  # MuJoCo refuses one that is set otherwise
    return chosen | ({_EGL_DEVICE[kind]: egl_device} if egl_device else {})


def _list_devices(environment: Mapping[str, str]) -> list[EglDevice]:
    code, output, _ = _run(Path(sys.executable), _PROBES / "egl_devices.py", environment)
    return [read_device(device) for device in _last_json(output) or []] if code == 0 else []


def _probe(candidate: _Candidate, kind: str, python: Path | None) -> RendererReport:
    if python is None:
        detail = f"{_PACKAGE[kind]} is not installed: nothing to try it with"
        return RendererReport(name=candidate.name, works=False, detail=detail)
    environment = {**os.environ, **candidate.env}
    program = _PROBES / f"{kind}_picture.py"
    code, output, errors = _run(python, program, environment)
    found = _last_json(output)
    if code != 0 or not isinstance(found, dict):
        return _failed(candidate, _reason(code, errors))
    if found["is_black"] or found["n_colours"] < 2:
        return _failed(candidate, "renders black pictures")
    software = any(word in found["renderer"].lower() for word in _SOFTWARE)
    name = candidate.name if candidate.backend != "egl" else _SOFTWARE_EGL[kind] if software else "egl-gpu"
    facts = {"name": name, **{key: found[key] for key in ("vendor", "renderer", "version")}}
    renderer = Renderer(name=name, env=dict(candidate.env), facts=facts)
    detail = f"{found['vendor']}, {found['renderer']}, {found['version']}"
    return RendererReport(name=name, works=True, detail=detail, renderer=renderer)


def _failed(candidate: _Candidate, reason: str) -> RendererReport:
    fix = APT_LINE if sys.platform == "linux" and candidate.backend in ("egl", "osmesa") else ""
    return RendererReport(name=candidate.name, works=False, detail=reason, fix_line=fix)


def _run(python: Path, program: Path, environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Exit status (None where it was silent for too long), standard output, standard error."""
    try:
        # -P: this package's folders must not shadow a simulator's modules.
        done = subprocess.run(
            [python, "-P", program], env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, "", ""
    return done.returncode, done.stdout, done.stderr


def _last_json(output: str) -> Any:
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return None


def _reason(code: int | None, errors: str) -> str:
    if code is None:
        return f"no answer within {_TIMEOUT_S:.0f} s"
    if code < 0:
        return f"the driver crashed (signal {-code})"
    # An ignored exception at the interpreter's end comes after the one that counts.
    lines = [
        line for line in errors.splitlines() if line and not line.startswith((" ", "Exception ignored", "Traceback"))
    ]
    return lines[0][:200] if lines else f"exit status {code}"


def _key(kind: str, wanted: str, python: Path | None) -> str:
    """What the answer depends on. Package managers rewrite ld.so.cache when a library comes or goes."""
    names = (
        "MUJOCO_GL",
        *_EGL_DEVICE.values(),
        "CUDA_VISIBLE_DEVICES",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "LD_LIBRARY_PATH",
    )
    variables = {name: os.environ.get(name) for name in names}
    files = [Path("/etc/ld.so.cache"), Path("/proc/driver/nvidia/version")]
    stamps = [str(path.stat().st_mtime_ns) if path.exists() else "" for path in files[:1]]
    drivers = [path.read_text(errors="replace") if path.exists() else "" for path in files[1:]]
    machine = [platform.node(), platform.release()]
    return sha256_hex([kind, wanted, str(python), variables, stamps, drivers, machine])


def _recall(key: str) -> Renderer | None:
    try:
        found = json.loads((cache_folder() / "renderers.json").read_text())[key]
        return Renderer(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache that cannot be read is a cache that is empty


def _remember(key: str, renderer: Renderer) -> None:
    path = cache_folder() / "renderers.json"
    try:
        known = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError):
        known = {}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({**known, key: asdict(renderer)}))
        temporary.replace(path)
    except (OSError, TypeError):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # the next process probes again
