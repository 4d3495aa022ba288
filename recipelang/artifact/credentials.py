"""What `docker login` keeps: user and password, or a token, each for one registry. Read, never written or shown."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def credentials_of(host: str) -> Credentials | None:
    """For exactly this host, port included; a configuration that cannot be read holds none."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        form = json.loads((folder / "config.json").read_text("utf-8"))
        helper = form.get("credHelpers", {}).get(host) or form.get("credsStore")
        if isinstance(helper, str) and _HELPER.fullmatch(helper):
            found = _asked(helper, host)
            if found is not None:
                return found
        return _written(form.get("auths", {}).get(host))
    except (OSError, ValueError, AttributeError):
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
    form = json.loads(done.stdout)
    user, secret = str(form.get("Username", "")), str(form.get("Secret", ""))
    return Credentials(identity=secret) if user == "<token>" else Credentials(user, secret)
