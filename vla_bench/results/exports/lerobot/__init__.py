"""Datasets in LeRobot's layouts: what was seen and done, frame by frame. Only files; who fills them replays."""

from vla_bench.results.exports.lerobot.dataset import LAYOUTS, DatasetWriter, Step

__all__ = ["LAYOUTS", "DatasetWriter", "Step"]
