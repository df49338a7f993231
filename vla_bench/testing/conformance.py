"""How a kit reports: every rule is tried, and one error tells all that are broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vla_bench.spec.errors import VlaBenchError

__all__ = ["ConformanceError", "Expect", "Rules"]


Expect = Callable[[bool, str], None]
"""Breaks the rule, saying what was seen, where the condition is false."""


class ConformanceError(AssertionError):
    """Raised when a part breaks rules of its kit.

    Attributes:
        failures: one sentence per broken rule, with what was seen.
    """

    def __init__(self, subject: str, failures: Sequence[str]) -> None:
        self.subject, self.failures = subject, tuple(failures)
        lines = "".join(f"\n  - {failure}" for failure in failures)
        super().__init__(f"{subject} breaks {len(failures)} rule{'s' * (len(failures) != 1)}:{lines}")

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (self.subject, self.failures)


class Rules:
    """Collects broken rules, so that an author sees all of them at once."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.passed: list[str] = []
        self.failures: list[str] = []

    @contextmanager
    def rule(self, sentence: str) -> Iterator[Expect]:
        """Try one rule.

        The body gets `expect(condition, seen)`; whatever it raises breaks the rule.

        Args:
            sentence: what must hold, as a sentence without a full stop.
        """

        def expect(condition: bool, seen: str) -> None:
            if not condition:
                raise AssertionError(seen)

        try:
            yield expect
        except (AssertionError, VlaBenchError) as error:
            self.failures.append(f"{sentence}: {error}")
        except Exception as error:  # The part's own code: its broken rule, and the others are still tried.
            self.failures.append(f"{sentence}: {type(error).__name__}: {error}")
        else:
            self.passed.append(sentence)

    def finish(self) -> tuple[str, ...]:
        """Return the rules that were tried.

        Raises:
            ConformanceError: one of them is broken.
        """
        if self.failures:
            raise ConformanceError(self.subject, self.failures)
        return tuple(self.passed)
