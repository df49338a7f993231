"""The programs that run images: which of them works here, and how each is told the same thing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vla_bench.policies.containers.image import ImageReference
from vla_bench.policies.containers.options import ContainerOptions
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches

__all__ = ["ENGINE_VARIABLE", "PORT", "TOKEN_VARIABLE", "Engine", "find_engine"]

ENGINE_VARIABLE: Final = "VLA_BENCH_CONTAINER_ENGINE"
TOKEN_VARIABLE: Final = "VLA_BENCH_TOKEN"
PORT: Final = 8600
"""Where a policy listens inside of its container."""
KINDS: Final = ("docker", "podman", "apptainer")
_PASSED: Final = ("APPTAINERENV_", "SINGULARITYENV_")
"""Of variables that apptainer sets inside of a container. Source: apptainer.org, "Environment and Metadata"."""
_ASK_S: Final = 30.0
_PULL_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that runs images.

    Attributes:
        kind: `docker`, `podman` or `apptainer`.
        program: path.
    """

    kind: str
    program: str

    @property
    def has_daemon_names(self) -> bool:
        """Whether containers have names by which they are found; apptainer's are plain processes."""
        return self.kind != "apptainer"

    def ask(self, *arguments: str, timeout_s: float = _ASK_S) -> subprocess.CompletedProcess[str]:
        """Run one of its commands to the end; whatever it says is captured."""
        try:
            return subprocess.run(
                [self.program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess([self.program, *arguments], 125, "", str(error))

    def fetch(self, image: ImageReference) -> str:
        """Make an image present, and say which it is.

        Returns:
            `sha256:…`: the digest that it is pinned by, else that of its registry, else of its content; empty where
            the engine knows none.

        Raises:
            UsageError: there is no such image; near ones on this machine are named.
        """
        if not self.has_daemon_names:  # it unpacks at the start
            return image.digest
        found = self.ask("image", "inspect", image.text)
        if found.returncode != 0:
            pulled = self.ask("pull", "--quiet", image.text, timeout_s=_PULL_S)
            if pulled.returncode != 0:
                raise UsageError(self._no_image(image, pulled.stderr))
            found = self.ask("image", "inspect", image.text)
        return image.digest or _digest_of(found.stdout)

    def run_command(
        self, name: str, image: ImageReference, options: ContainerOptions, arguments: Sequence[str], port: int
    ) -> list[str]:
        """The command line that starts a policy's server in the foreground and removes it when it ends.

        Args:
            name: of the container.
            image: present.
            options: GPUs, mounts and so on.
            arguments: for the image's entry point.
            port: free on this machine; apptainer's containers share its network and listen there. The others publish
                `PORT` at a loopback port that they choose.
        """
        if self.kind == "apptainer":
            return self._apptainer(image, options, arguments, port)
        return [
            self.program, "run", "--rm", "--name", name, "--label", "org.vla-bench.policy-server=1",
            "--publish", f"127.0.0.1::{PORT}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--shm-size", f"{int(options.shm_gib * 1024)}m", "--env", TOKEN_VARIABLE,
            *(part for variable in options.env for part in ("--env", variable)),
            *(part for mount in options.mounts for part in ("--volume", mount)),
            *self._gpus(options.gpus),
            image.text, *arguments,
        ]  # fmt: skip

    def environment(self, options: ContainerOptions, token: str) -> dict[str, str]:
        """The environment of `run_command`: values stand here, as a command line is there for everybody to read.

        Args:
            options: as there.
            token: that the server may ask for.
        """
        given = {TOKEN_VARIABLE: token}
        if self.kind != "apptainer":
            return {**os.environ, **given}
        given |= {name: os.environ.get(name, "") for name in options.env}
        if options.gpus not in ("auto", "all", "none"):
            given["CUDA_VISIBLE_DEVICES"] = options.gpus
        # Singularity knows the second prefix alone; Apptainer knows both, and is silent where they say the same.
        passed = {f"{prefix}{name}": value for prefix in _PASSED for name, value in given.items()}
        return {**os.environ, TOKEN_VARIABLE: token, **passed}

    def _apptainer(
        self, image: ImageReference, options: ContainerOptions, arguments: Sequence[str], port: int
    ) -> list[str]:
        return [
            self.program, "--silent", "run", "--containall", "--pid",
            *(part for mount in options.mounts for part in ("--bind", mount)),
            *self._gpus(options.gpus),
            f"docker://{image.text}", "--host", "127.0.0.1", "--port", str(port), *arguments,
        ]  # fmt: skip

    def _gpus(self, wanted: str) -> list[str]:
        if wanted == "none" or (wanted == "auto" and not _has_gpu()):
            return []
        indices = [] if wanted in ("auto", "all") else wanted.split(",")
        if self.kind == "docker":
            # The quotes belong to docker's own reading of a list.
            return ["--gpus", f'"device={",".join(indices)}"' if indices else "all"]
        if self.kind == "podman":
            devices = [f"nvidia.com/gpu={index}" for index in indices or ["all"]]
            return [part for device in devices for part in ("--device", device)]
        return ["--nv"]  # which of them is a variable of its own

    def published_port(self, name: str) -> int | None:
        """The loopback port at which a container's server is reached; None until there is one."""
        lines = self.ask("port", name, f"{PORT}/tcp").stdout.split()
        digits = [line.rpartition(":")[2] for line in lines if line.startswith("127.0.0.1:")]
        return int(digits[0]) if digits and digits[0].isdigit() else None

    def _no_image(self, image: ImageReference, said: str) -> str:
        listed = self.ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        # Compared by the last part of the name: the hosts before it are alike or have nothing in common.
        known = {name.rpartition("/")[2].removesuffix(":latest"): name for name in listed if "<none>" not in name}
        near = [known[short] for short in near_matches(image.text.partition("@")[0].rpartition("/")[2], known)]
        hint = f" Did you mean {' or '.join(f'docker://{name}' for name in near)}?" if near else ""
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "nothing was said")
        return f"there is no image {image.text!r} here, and {self.kind} cannot fetch it: {last.strip()}{hint}"


def find_engine(wanted: str = "") -> Engine:
    """The engine to use: the wanted one, that of `VLA_BENCH_CONTAINER_ENGINE`, or the first that works.

    Raises:
        UsageError: none works; the message says what each of them said.
    """
    wanted = wanted or os.environ.get(ENGINE_VARIABLE, "")
    if wanted:
        kind = Path(wanted).name.replace("singularity", "apptainer")
        if kind not in KINDS:
            near = near_matches(kind, KINDS)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"no container engine {wanted!r}: choose {', '.join(KINDS)}, or a path to one.{hint}")
    said = []
    for kind in [Path(wanted).name] if wanted else [*KINDS, "singularity"]:
        program = shutil.which(wanted or kind)
        if program is None:
            said.append(f"{kind} is not installed")
            continue
        engine = Engine(kind.replace("singularity", "apptainer"), program)
        if not (fault := _fault(engine)):
            return engine
        said.append(f"{kind} does not work ({fault})")
    raise UsageError(
        f"a policy in an image wants docker, podman or apptainer: {'; '.join(said)}. Install one (Debian: apt-get "
        "install podman), or serve the policy yourself and give its URL"
    )


def _fault(engine: Engine) -> str:
    """Why an engine is of no use; empty where it works. The docker program is often there without its daemon."""
    question = ("--version",) if engine.kind == "apptainer" else ("info", "--format", "{{json .}}")
    done = engine.ask(*question)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"status {done.returncode}"


def _digest_of(inspected: str) -> str:
    try:
        (content, *_) = json.loads(inspected)
        digests = [text.rpartition("@")[2] for text in content.get("RepoDigests") or []]
        found = str(digests[0] if digests else content.get("Id", ""))
    except (ValueError, TypeError, AttributeError):
        return ""
    return found if not found or found.startswith("sha256:") else f"sha256:{found}"


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))
