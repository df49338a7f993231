"""Length-prefixed msgpack over a stream socket: how a run and its worker talk.

A frame is 4 bytes, the length of the rest (big endian), then one msgpack value. Arrays travel as `vla_bench.spec.wire`
says. Both ends are ours and on one machine, so there is one request at a time and no identity in it; yet nothing that
arrives is trusted to be whole, small or well formed.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import msgpack

from vla_bench.spec.wire import decode_value, encode_array

__all__ = ["MAX_FRAME_BYTES", "Channel", "ChannelClosed", "ChannelGarbage", "ChannelTimeout"]

MAX_FRAME_BYTES: Final = 64 << 20
"""Pictures do not travel here; what does is far smaller."""

_HEADER = struct.Struct(">I")
_TIMEVAL = struct.Struct("@ll")
_READ_BYTES = 1 << 16


class ChannelClosed(Exception):
    """Raised when the other end is gone."""


class ChannelTimeout(Exception):
    """Raised when the other end did not answer, or did not read, within the time."""


class ChannelGarbage(Exception):
    """Raised when what arrived is no frame of ours: too long, or not msgpack."""


class Channel:
    """One end of the socket, for one thread at a time.

    After any of the three errors the channel is of no further use.
    """

    def __init__(self, sock: socket.socket, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._socket = sock
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        # Python's own timeouts cost a poll before every call; the kernel's cost nothing.
        sock.settimeout(None)
        self._timeout_s: float | None = None
        self._packer = msgpack.Packer(default=encode_array)

    def send(self, message: Any, *, timeout_s: float | None = None) -> None:
        """Send one value; wait for ever where `timeout_s` is None.

        Raises:
            ChannelClosed, ChannelTimeout: it did not go out.
            ChannelGarbage: it is longer than a frame may be; nothing was sent.
            TypeError: it has no wire form; nothing was sent.
        """
        try:
            body = self._packer.pack(message)
        except BaseException:
            # A failed value stays half packed in the packer's buffer.
            self._packer = msgpack.Packer(default=encode_array)
            raise
        if len(body) > self._max_bytes:
            raise ChannelGarbage(f"a message of {len(body)} bytes is over the limit of {self._max_bytes}")
        try:
            self._limit(timeout_s)
            self._socket.sendall(_HEADER.pack(len(body)) + body)
        except BlockingIOError as error:
            raise ChannelTimeout(f"not read within {timeout_s:g} s") from error
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, *, timeout_s: float | None = None) -> Any:
        """Wait for one whole value; for ever where `timeout_s` is None.

        Returns:
            Plain values; arrays are read-only views of bytes that belong to nobody else.

        Raises:
            ChannelClosed: end of file, also in the middle of a frame.
            ChannelTimeout: no whole frame within the time, however slowly its bytes drip.
            ChannelGarbage: the frame is too long or is not msgpack.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        self._limit(timeout_s)
        body = self._take(_HEADER.size, deadline)
        (length,) = _HEADER.unpack(body)
        if length > self._max_bytes:
            raise ChannelGarbage(f"a frame of {length} bytes is over the limit of {self._max_bytes}")
        try:
            return msgpack.unpackb(self._take(length, deadline), object_hook=decode_value, strict_map_key=False)
        except (ValueError, TypeError, RecursionError) as error:
            # `msgpack` raises children of ValueError; TypeError is an array as a key of a map.
            raise ChannelGarbage(f"a frame of {length} bytes is not msgpack: {error}") from error

    def _take(self, count: int, deadline: float | None) -> bytes:
        """Take `count` bytes off the stream. A small answer is one read: header and body arrive together."""
        buffer = self._buffer
        while len(buffer) < count:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError as error:
                raise ChannelTimeout("no whole answer in time") from error
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            if not data:
                raise ChannelClosed("end of file" + (" inside a frame" if buffer else ""))
            buffer += data
            if len(buffer) < count and deadline is not None:
                self._limit(deadline - monotonic())
        taken = bytes(memoryview(buffer)[:count])
        del buffer[:count]
        return taken

    def _limit(self, timeout_s: float | None) -> None:
        """Have the kernel end a read or write after so long; 0 is "for ever" to it.

        Raises:
            ChannelTimeout: the time is over already.
        """
        if timeout_s == self._timeout_s:
            return
        if timeout_s is not None and timeout_s <= 0:
            raise ChannelTimeout("no whole answer in time")
        whole_s, part_s = divmod(timeout_s or 0.0, 1.0)
        # A microsecond at least: what rounds to 0 would be for ever.
        limit = _TIMEVAL.pack(int(whole_s), max(int(1e6 * part_s), 0 if timeout_s is None or whole_s else 1))
        try:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, limit)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        self._timeout_s = timeout_s

    def hang_up(self) -> None:
        """Tell the other end that nothing follows; what it still sends can be received."""
        with suppress(OSError):  # gone already
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Free the socket; safe to call twice."""
        self._socket.close()
