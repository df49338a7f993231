"""Runs a plan: the episode loop, the runner, executors, and the door for Python."""
