"""What stands after `docker://`: an image's name, its tag, and the digest that pins it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches

__all__ = ["SCHEME", "ImageReference", "is_image"]

SCHEME: Final = "docker"
_OTHERS: Final = ("http", "https", "grpc", SCHEME)
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE: Final = re.compile(
    rf"(?P<name>(?:(?:[a-zA-Z0-9.-]+(?::\d+)?)/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image.

    Attributes:
        text: as typed, without the scheme: what an engine takes.
        name: without tag and digest.
        digest: `sha256:…` where it is pinned, else empty: then a tag may become another image.
    """

    text: str
    name: str
    digest: str

    @classmethod
    def parse(cls, url: str) -> ImageReference:
        """Understand `docker://[HOST/]NAME[:TAG][@sha256:…]`.

        Raises:
            UsageError: it is none; the message says which part is wrong.
        """
        text = url.removeprefix(f"{SCHEME}://")
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise UsageError(f"policy {url!r}: {_what_is_wrong(text)}")
        return cls(text=text, name=found["name"], digest=found["digest"] or "")

    @property
    def short_name(self) -> str:
        """The last part of the name, for displays."""
        return self.name.rpartition("/")[2]


def is_image(url: str) -> bool:
    """Whether this names an image; a misspelt scheme is refused here, with the near ones.

    Raises:
        UsageError: the scheme is none that a policy can have.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme in _OTHERS:
        return scheme == SCHEME and bool(separator)
    near = near_matches(scheme, _OTHERS)
    hint = f" Did you mean {' or '.join(f'{name}://' for name in near)}?" if near else ""
    raise UsageError(f"policy {url!r}: begins with http://, https://, grpc:// or docker://.{hint}")


def _what_is_wrong(text: str) -> str:
    wants = "an image is written docker://NAME[:TAG][@sha256:…], for example docker://ghcr.io/me/lamp:1.2"
    if not text:
        return f"no image is named; {wants}"
    _, at, digest = text.partition("@")
    if at and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return "a digest is sha256: and 64 hexadecimal digits in lower case"
    if text != text.lower() and _REFERENCE.fullmatch(text.lower()):
        return f"names of images are in lower case. Did you mean docker://{text.lower()}?"
    return wants
