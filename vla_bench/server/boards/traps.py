"""Known traps of suites: what makes two numbers of one name differ. One or two sentences each."""

from __future__ import annotations

__all__ = ["traps_of"]

_TRAPS: dict[str, tuple[str, ...]] = {
    "libero": (
        (
            "Projects run it under different protocols: step limits, settling steps and picture sizes differ, so that "
            "a score says little without the protocol's name."
        ),
        (
            "Pictures come from the simulator upside down; a policy trained on turned pictures fails on raw ones "
            "without an error."
        ),
        "Fifty fixed initial states a task are public: a checkpoint chosen on them is chosen on the test.",
    ),
    "libero_plus": (
        (
            "The printed average of a paper may be weighted by the number of variants, or the plain mean of seven "
            "dimensions: they differ by up to three points."
        ),
        "Many variants share one base task: intervals for tasks like these count base tasks, not variants.",
    ),
    "calvin": (
        "ABC→D and ABCD→D differ in what the policy was trained on, not in the test: they are boards of their own.",
        "The order of the 1,000 chains and the renderer change the score; the protocol's name has both.",
        "A subtask counts only where its change is seen from the state at its own start.",
    ),
    "metaworld": (
        "Success means that the goal was reached at any step; in some papers it means the last one.",
        "Task versions 1, 2 and 3 have the same names and different rewards and goals.",
    ),
    "robotwin2": ("Figures of papers give no numbers here: their rows are blank on purpose.",),
    "simpler_env": (
        "Scores follow real-robot results in rank rather than in height, and few trials a task stand behind them.",
    ),
}


def traps_of(suite: str) -> tuple[str, ...]:
    """The traps of a suite, by the longest name that it begins with; empty where none is known."""
    fitting = [name for name in _TRAPS if suite.startswith(name)]
    return _TRAPS[max(fitting, key=len)] if fitting else ()
