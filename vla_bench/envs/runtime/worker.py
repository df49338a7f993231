"""`python -m vla_bench.envs.runtime.worker SOCKET PICTURES LIFELINE`: one env in a process, answering one run.

The three numbers are inherited file descriptors. Runs inside a suite's own environment: the standard library, NumPy,
gymnasium, msgpack, `vla_bench.spec` and `vla_bench.envs` are all that it imports, and the simulator.

It ends when the run does: at end of file between calls, by the kernel's hand in the middle of one (`_end_with_run`).
"""

from __future__ import annotations

import fcntl
import os
import pickle
import platform
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from vla_bench import __version__
from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.runtime.channel import Channel, ChannelClosed
from vla_bench.envs.runtime.fingerprint import take_fingerprint
from vla_bench.envs.runtime.pictures import PictureWriter
from vla_bench.envs.runtime.replies import encode_error, encode_state, known_error, own_actions, with_plain_facts
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import UnknownSuite
from vla_bench.spec.plugins import SUITES, load_plugin

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Serve until the run hangs up; never returns."""
    descriptors = [int(argument) for argument in arguments]
    for descriptor in descriptors:
        # What the simulator starts must not keep the run's end of file from us, nor ours from the run.
        os.set_inheritable(descriptor, False)
    sock, pictures, lifeline = descriptors
    _end_with_run(lifeline)
    with suppress(ChannelClosed):
        _serve(Channel(socket.socket(fileno=sock)), PictureWriter(pictures))
    sys.stdout.flush()
    sys.stderr.flush()
    # Simulators and GL drivers crash in their exit handlers: the env is closed, nothing is left to do.
    os._exit(0)


def _end_with_run(lifeline: int) -> None:
    """Have the kernel kill this process group when the run dies: the only writer of this pipe, which never writes.

    A simulator that hangs inside C reads no end of file. `PR_SET_PDEATHSIG` would fire when the *thread* that started
    us ends. Where the kernel cannot do it (macOS, some sandboxes), end of file after the call has to be enough.
    """
    is_leader = os.getpgrp() == os.getpid()
    try:
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid() if is_leader else os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    except (AttributeError, OSError):
        return


def _serve(channel: Channel, pictures: PictureWriter) -> None:
    # Before anything that could differ between versions: who is here.
    channel.send({"version": __version__, "python": platform.python_version()})
    env = _open(channel, channel.receive())
    try:
        while env is not None:
            channel.send(_answer(env, channel.receive(), pictures))
    finally:
        if env is not None:
            env.close()


def _open(channel: Channel, request: Mapping[str, Any]) -> SuiteEnv | None:
    try:
        # Pickle keeps a suite as it is, also one that a caller has changed. It comes from our own parent.
        suite, options = pickle.loads(request["open"])
        env: SuiteEnv = load_plugin(SUITES, suite.family, UnknownSuite).make_env(suite, options)
        fingerprint = take_fingerprint(env.packages(), request["renderer"])
    except Exception as error:  # Every reason not to start: the run makes it `EnvStartFailed`.
        channel.send(encode_error(known_error(error, "opening the env")))
        return None
    channel.send({"fingerprint": asdict(fingerprint)})
    return env


def _answer(env: SuiteEnv, request: Sequence[Any], pictures: PictureWriter) -> dict[str, Any]:
    verb = request[0]
    try:
        if verb == "advance":
            state = env.advance(own_actions(request[1]), frames_at=request[2])
        else:
            state = with_plain_facts(env.start(Episode(**request[1])))
        return encode_state(state, pictures)
    except Exception as error:  # The simulator's own code: outcome `env_error`.
        return encode_error(known_error(error, verb))


if __name__ == "__main__":
    main(sys.argv[1:])
