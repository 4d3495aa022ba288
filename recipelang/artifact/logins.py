"""How a registry is shown who asks: its challenge, and the token for it. A secret goes only where it belongs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from recipelang.artifact.credentials import Credentials, credentials_of
from recipelang.artifact.guard import is_loopback
from recipelang.artifact.http import Http
from recipelang.source import RecipeError, fail
from recipelang.storage.strict_json import parse_json

_MAX_ANSWER = 64 * 1024


@dataclass
class Tokens:
    """For one registry. `header` answers a challenge; tokens are kept by scope for as long as the object lives."""

    http: Http
    host: str
    kept: dict[str, str] = field(default_factory=dict, repr=False)

    def header(self, challenge: str, scope: str) -> str | None:
        """The value of `Authorization`; none where there is nothing to show."""
        kind, _, rest = challenge.partition(" ")
        own = credentials_of(self.host)
        if kind.lower() == "basic":
            return own.basic if own is not None and own.user else None
        if kind.lower() != "bearer":
            return None
        fields = dict(re.findall(r'([a-z_]+)="([^"]*)"', rest))
        token = self._token(fields.get("realm", ""), fields.get("service", ""), scope, own)
        self.kept[scope] = f"Bearer {token}"
        return self.kept[scope]

    def _token(self, realm: str, service: str, scope: str, own: Credentials | None) -> str:
        try:
            where = urlsplit(realm).hostname or ""
        except ValueError:
            raise fail("E127", f"`{self.host[:80]}` gives no address for tokens") from None
        if own is not None and not _belongs(where, urlsplit(f"//{self.host}").hostname or ""):
            raise fail(
                "E127",
                f"`{self.host[:80]}` requests your password for `{where[:80]}`",
                help="log out (`docker logout`) to continue anonymously, or ask its operator",
            )
        asked = {"service": service, "scope": scope}
        if own is not None and own.identity:
            form = urlencode(
                {**asked, "grant_type": "refresh_token", "refresh_token": own.identity, "client_id": "recipelang"}
            )
            head = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self.http.send("POST", realm, head, form.encode(), limit=_MAX_ANSWER)
        else:
            head = {"Authorization": own.basic} if own is not None else {}
            mark = "&" if urlsplit(realm).query else "?"
            answer = self.http.send("GET", f"{realm}{mark}{urlencode(asked)}", head, limit=_MAX_ANSWER)
        try:
            form_read = parse_json(answer.body, _MAX_ANSWER)
            token = form_read.get("token") or form_read.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise denied(self.host, known=own is not None)
        return token


def denied(host: str, known: bool) -> RecipeError:
    help = "ask its operator for permission" if known else f"log in with `docker login {host}`"
    return fail("E129", f"`{host[:80]}` denies access", help=help)


def _belongs(realm: str, host: str) -> bool:
    """Whether the server of tokens is run by who runs the registry: the same host, or of the same domain."""
    if realm == host:
        return True
    if is_loopback(realm) or is_loopback(host) or realm.replace(".", "").isdigit() or ":" in realm:
        return False
    ours, theirs = host.lower().split("."), realm.lower().split(".")
    # `co.uk` and its like are nobody's domain: where the last but one is so short, one more label must agree
    shared = 3 if len(ours) > 2 and len(ours[-2]) <= 3 else 2
    return len(ours) >= shared and ours[-shared:] == theirs[-shared:]
