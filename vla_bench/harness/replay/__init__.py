"""Recorded actions in a fresh simulator: verification of stored runs, and their pictures, made afterwards."""

from vla_bench.harness.replay.judge import Agreement, ReplayResult
from vla_bench.harness.replay.recording import Recording, recordings_of
from vla_bench.harness.replay.sample import Sample, draw_sample
from vla_bench.harness.replay.verify import Verdict, Verification, verify_episodes, verify_run

__all__ = [
    "Agreement", "Recording", "ReplayResult", "Sample", "Verdict", "Verification", "draw_sample",
    "recordings_of", "verify_episodes", "verify_run",
]  # fmt: skip
