"""The words of a gate that its command line shares: imported without anything heavy."""

from __future__ import annotations

import enum

__all__ = ["OnInconclusive"]


class OnInconclusive(enum.StrEnum):
    """What an inconclusive gate ends with."""

    TELL = "tell"
    """exit code 4"""
    PASS = "pass"
    """exit code 0, and it says that nothing is shown"""
    FAIL = "fail"
    """exit code 1"""
    EXTEND = "extend"
    """go on with further trials: only where the test is a sequential one"""
