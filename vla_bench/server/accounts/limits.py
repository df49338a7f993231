"""Rate limits: a moving window per key, in the memory of this process or, by URL, in Redis."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from vla_bench.server.problems import Problem
from vla_bench.server.settings import Settings

__all__ = ["LIGHT", "RateLimits", "network_of"]

_SUBSCRIBER = 64
LIGHT = 20
"""What costs little, because it is loaded by a page or known to the reader, may be asked this many times as often."""


def network_of(address: str) -> str:
    """What is counted as one reader: an IPv4 address, or the /64 that one subscriber of IPv6 has to himself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, _SUBSCRIBER), strict=False))


class RateLimits:
    """The limits of one service. Addresses and accounts are counted apart."""

    def __init__(self, settings: Settings) -> None:
        """Open the storage that the settings name."""
        self._limiter = MovingWindowRateLimiter(storage_from_string(settings.limits))
        self._reads = RateLimitItemPerMinute(settings.reads_per_minute)
        self._light_reads = RateLimitItemPerMinute(LIGHT * settings.reads_per_minute)
        self._submissions = RateLimitItemPerHour(settings.submissions_per_hour)
        self._failures = RateLimitItemPerMinute(settings.failed_tokens_per_minute)

    def count_read(self, address: str, *, is_light: bool = False) -> None:
        """Count a read of somebody without a token; a light one apart, under a limit of its own.

        Raises:
            Problem: 429, with `Retry-After`.
        """
        if is_light:
            self._count(self._light_reads, "light reads", network_of(address), "reads")
        else:
            self._count(self._reads, "reads", network_of(address), "reads")

    def count_submission(self, account_id: int) -> None:
        """Count a submission.

        Raises:
            Problem: 429.
        """
        self._count(self._submissions, "submissions", str(account_id), "submissions")

    def check_failures(self, address: str) -> None:
        """Refuse an address that has sent too many wrong tokens.

        Raises:
            Problem: 429.
        """
        if not self._limiter.test(self._failures, "failures", network_of(address)):
            raise self._refusal(self._failures, "failures", network_of(address), "wrong tokens")

    def count_failure(self, address: str) -> None:
        """Count a wrong token."""
        self._limiter.hit(self._failures, "failures", network_of(address))

    def _count(self, item: RateLimitItemPerMinute | RateLimitItemPerHour, space: str, key: str, what: str) -> None:
        if not self._limiter.hit(item, space, key):
            raise self._refusal(item, space, key, what)

    def _refusal(self, item: RateLimitItemPerMinute | RateLimitItemPerHour, space: str, key: str, what: str) -> Problem:
        reset_s = self._limiter.get_window_stats(item, space, key).reset_time - time.time()
        wait_s = max(1, math.ceil(reset_s))
        limit = f"{item.amount} per {item.GRANULARITY.name}"
        return Problem(429, f"too many {what}, the limit is {limit}: come again in {wait_s} s",
                       kind="too-many-requests", headers={"Retry-After": str(wait_s)})  # fmt: skip
