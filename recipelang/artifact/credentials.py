"""What `docker login` keeps: user and password, or a token, each for one registry. Read, never written or shown."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipelang.storage.reading import Unreadable, read_object
from recipelang.storage.strict_json import parse_json

_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_SECONDS = 20


@dataclass(frozen=True)
class Credentials:
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)  # to be exchanged for a token

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


#: of `docker login`, with the hosts of a lifetime
_MAX_CONFIG = 2**20


def credentials_of(host: str) -> Credentials | None:
    """For exactly this host, port included; a configuration that cannot be read holds none."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        form = read_object(folder / "config.json", _MAX_CONFIG)
        helper = form.get("credHelpers", {}).get(host) or form.get("credsStore")
        if isinstance(helper, str) and _HELPER.fullmatch(helper):
            found = _asked(helper, host)
            if found is not None:
                return found
        return _written(form.get("auths", {}).get(host))
    except (Unreadable, ValueError, AttributeError):
        return None


def _written(form: Any) -> Credentials | None:
    if not isinstance(form, dict):
        return None
    if form.get("identitytoken"):
        return Credentials(identity=str(form["identitytoken"]))
    if form.get("auth"):
        user, _, password = base64.b64decode(str(form["auth"])).decode("utf-8").partition(":")
        return Credentials(user, password)
    return Credentials(str(form["username"]), str(form.get("password", ""))) if form.get("username") else None


def _asked(helper: str, host: str) -> Credentials | None:
    """The program that the user's own configuration names; it reads a host and answers in JSON."""
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "get"], input=host, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    form = parse_json(done.stdout, _MAX_CONFIG)
    user, secret = str(form.get("Username", "")), str(form.get("Secret", ""))
    return Credentials(identity=secret) if user == "<token>" else Credentials(user, secret)
