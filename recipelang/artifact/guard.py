"""Connections that go only where they may, and that end: addresses are checked where they are used, not before.

A name is looked up once, its addresses are judged, and the connection goes to one that was judged, so that a name
cannot point elsewhere in between. Every read counts against the deadline of the whole request: a server that sends
a byte now and then is a server that does not answer.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from recipelang.source import RecipeError, fail

ALLOW = "RECIPELANG_ALLOW_PRIVATE"
NO_ADDRESS = "its name has no address"


def allowed_by_setting() -> frozenset[str]:
    """Hosts that the user lets us reach though they are private: `registry.lan,storage.lan:9000`."""
    return frozenset(filter(None, (h.strip().lower() for h in os.environ.get(ALLOW, "").split(","))))


def is_allowed(allowed: frozenset[str], host: str, port: int) -> bool:
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return name in allowed or f"{name}:{port}" in allowed


def is_loopback(host: str) -> bool:
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def private(host: str) -> RecipeError:
    return fail(
        "E127",
        f"`{host[:80]}` is an address of this machine or its network",
        help=f"allow your own registry with `--allow-private`, other hosts with `{ALLOW}=HOST,HOST`",
        notes=["otherwise a recipe, or a redirecting server, could reach what only you can reach"],
    )


class Guarded(httpcore2.NetworkBackend):
    """Connects to public addresses, and to hosts that the user allows. `deadline`: when this request must end."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.deadline = float("inf")
        self.inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        last: Exception = httpcore2.ConnectError(f"`{host}` has no address")
        for address in self._addresses(host, port):
            try:
                stream = self.inner.connect_tcp(address, port, self.left(timeout), local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
                continue
            return _Stream(stream, self)
        raise last

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise httpcore2.ConnectError("no sockets of files")

    def left(self, timeout: float | None) -> float:
        """Seconds until a step must be over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the whole request took too long")
        return left if timeout is None else min(left, timeout)

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError(NO_ADDRESS) from None
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not is_allowed(self.allowed, host, port) and not all(map(_is_public, addresses)):
            raise private(host)
        return addresses


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    inside: Any = address
    if isinstance(address, ipaddress.IPv6Address):  # IPv4 in other clothes
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inside = ipaddress.IPv4Address(address.packed[-4:])
    return bool(inside.is_global and not inside.is_multicast)


class _Stream(httpcore2.NetworkStream):
    """Every step of a connection within the deadline of the request."""

    def __init__(self, inner: httpcore2.NetworkStream, guard: Guarded) -> None:
        self.inner, self.guard = inner, guard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.guard.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.guard.left(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.guard.left(timeout)), self.guard)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
