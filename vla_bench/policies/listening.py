"""What every server says of the address that it listens on."""

from __future__ import annotations

import ipaddress

import structlog

__all__ = ["warn_if_open"]

log = structlog.get_logger(__name__)


def warn_if_open(host: str, token: str | None) -> None:
    """Log a warning where a server can be reached from other machines and asks for no token."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not (is_loopback or token):
        log.warning("policy_server_open_to_the_network", host=host, way_out="give it a token with --token-env")
