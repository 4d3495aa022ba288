"""One request at a time, with caps, deadlines and retries. Redirects are the caller's to follow; secrets stay here."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpcore2

from recipelang.artifact.guard import NO_ADDRESS, Guarded, is_allowed, is_loopback, private
from recipelang.source import RecipeError, fail
from recipelang.version import __version__

#: a step, a whole request, in seconds; how often one is tried, and the first pause
STEP, WHOLE, TRIES, PAUSE = 20.0, 60.0, 4, 0.5
#: no server makes us wait longer between two tries
LONGEST_PAUSE = 30.0
NO_CONNECTION = "no connection can be made"
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_FAILURES = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in small letters
    body: bytes = field(repr=False)


class Http:
    """`allowed`: hosts of this machine and its network that may be reached, over plain HTTP on this machine only."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.guard = Guarded(allowed)
        self.pool = httpcore2.ConnectionPool(
            ssl_context=_trusted(), network_backend=self.guard, max_connections=2, keepalive_expiry=5.0
        )

    def scheme(self, host: str) -> str:
        """Plain HTTP never leaves this machine."""
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
        return "http" if is_loopback(name) and is_allowed(self.allowed, name, parts.port or 80) else "https"

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        limit: int,
        resume: bool = False,
    ) -> Answer:
        """The answer, its body of at most `limit` bytes. E127 for an address, E128 when nothing sound comes back.

        `resume`: the address names content that cannot change, so after a cut only the rest is asked for.
        """
        self._may_go(url)
        kept = bytearray()
        why = ""
        for attempt in range(TRIES):
            try:
                answer = self._once(method, url, headers, body, limit, kept)
            except _FAILURES as error:
                why = _told(error)
                if not resume:
                    kept.clear()
                pause = PAUSE * 2**attempt
            else:
                if answer.status not in _AGAIN:
                    return answer
                why = f"it answers {answer.status}"
                pause = max(_seconds(answer.headers.get("retry-after", "")), PAUSE * 2**attempt)
            if attempt + 1 < TRIES:
                time.sleep(min(pause, LONGEST_PAUSE) * random.uniform(0.8, 1.2))
        raise unreachable(url, why)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int, kept: bytearray
    ) -> Answer:
        self.guard.deadline = time.monotonic() + WHOLE
        parts = urlsplit(url)
        own = {
            "Host": parts.netloc,
            "User-Agent": f"recipelang/{__version__}",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **headers,
        }
        if method in ("GET", "HEAD"):
            del own["Content-Length"]
        if kept:
            own["Range"] = f"bytes={len(kept)}-"
        timeouts = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), STEP)}
        with self.pool.stream(
            method, url, headers=list(own.items()), content=body or None, extensions=timeouts
        ) as response:
            found = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            if response.status == 200:
                kept.clear()
            taken = kept if response.status in (200, 206) else bytearray()
            if found.get("content-encoding", "identity") not in ("", "identity"):
                raise fail("E128", f"`{parts.hostname}` sends compressed data that was not requested")
            for piece in response.iter_stream():
                taken += piece
                if len(taken) > limit:
                    raise too_large(parts.hostname or "", limit)
            return Answer(200 if response.status == 206 else response.status, found, bytes(taken))

    def _may_go(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            url.encode("ascii")
        except ValueError:  # brackets that do not close, a port that is none, letters that no address has
            raise fail(
                "E127", f"`{url[:80]}` is not a valid address", help="the server redirects to a wrong address"
            ) from None
        if parts.username or parts.password:
            raise fail(
                "E127",
                f"the address of `{host[:80]}` contains credentials",
                help="the server redirects to a wrong address",
            )
        if parts.scheme == "http" and is_loopback(host):
            if not is_allowed(self.allowed, host, port or 80):
                raise private(host)
        elif parts.scheme != "https":
            raise fail(
                "E127",
                f"the address of `{host[:80]}` does not use `https`",
                help="unencrypted data can be changed in transit",
            )


def unreachable(url: str, why: str) -> RecipeError:
    host = urlsplit(url).netloc
    if why in (NO_ADDRESS, NO_CONNECTION):
        help = "check the host name and your network, then try again"
        return fail("E128", f"`{host[:80]}` cannot be reached", notes=[why], help=help)
    help = "try again: data already transferred is kept, and only the rest is transferred"
    return fail("E128", f"`{host[:80]}` sends an invalid response", notes=[why], help=help)


def too_large(host: str, limit: int) -> RecipeError:
    return fail(
        "E122", f"`{host[:80]}` sends more data than announced", notes=[f"the transfer stopped after {limit:,} bytes"]
    )


def _told(error: Exception) -> str:
    if isinstance(error, httpcore2.TimeoutException):
        return f"nothing came for too long, {STEP:g} s for a step or {WHOLE:g} s for all"
    if isinstance(error, httpcore2.ConnectError):
        return NO_ADDRESS if str(error) == NO_ADDRESS else NO_CONNECTION
    return "the connection was closed early"


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


_made: list[ssl.SSLContext] = []


def _trusted() -> ssl.SSLContext:
    """The certificates that the rest of this machine trusts; reading them takes a while, so once."""
    if not _made:
        import httpx2

        _made.append(httpx2.create_ssl_context())
    return _made[0]
