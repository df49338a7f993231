"""API tokens: `vlab_`, 8 characters of id, 43 of secret. Shown once; only the secret's SHA-256 is kept.

A slow hash is for passwords that people choose: nobody guesses 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import NamedTuple

__all__ = ["PREFIX", "Token", "digest_of", "is_secret", "new_token", "parse_token"]

PREFIX = "vlab_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH, _SECRET_BYTES = 8, 32
_SECRET_LENGTH = 43
"""Digits of base 62 that hold 256 bits."""
_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_ID_LENGTH}}})([0-9A-Za-z]{{{_SECRET_LENGTH}}})")


class Token(NamedTuple):
    """A token in its parts; `str` gives it whole."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.id}{self.secret}"

    def __repr__(self) -> str:
        return f"Token({PREFIX}{self.id}…)"


def new_token() -> Token:
    """A token that nobody has had."""
    number, digits = int.from_bytes(secrets.token_bytes(_SECRET_BYTES), "big"), []
    for _ in range(_SECRET_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return Token("".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)), "".join(digits))


def parse_token(text: str) -> Token | None:
    """The parts of a token; None where the text has not the form of one."""
    match = _FORM.fullmatch(text.strip())
    return Token(*match.groups()) if match else None


def digest_of(token: Token) -> str:
    """What is kept of a token's secret."""
    return hashlib.sha256(token.secret.encode()).hexdigest()


def is_secret(token: Token, stored: str) -> bool:
    """Whether the secret is the stored one, in a time that does not tell how much of it is."""
    return hmac.compare_digest(digest_of(token), stored)
