"""The few calls of the Hub that are used, answered by a server on loopback that keeps commits in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub:
    """Repositories as lists of commits; each commit is all files at that time."""

    def __init__(self) -> None:
        self.repos: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body after its head would wait 40 ms

            def log_message(self, *_: object) -> None:
                pass

            def say(self, status: int, body: bytes = b"{}", **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = unquote(urlsplit(self.path).path).strip("/")
                hub.asked.append(f"{self.command} {path}")
                hub.answer(self, path, body)

            do_GET = do_HEAD = do_POST = do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        before = self.repos.setdefault(repo, [])
        all_files = {**(before[-1][1] if before else {}), **files}
        oid = hashlib.sha1(repr((repo, len(before), sorted(all_files.items()))).encode()).hexdigest()
        before.append((oid, all_files))
        return oid

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.repos.get(repo) or []
        wanted = self.tags.get(repo, {}).get(revision, revision)
        if wanted == "main":
            return commits[-1] if commits else ("0" * 40, {})
        return next((c for c in commits if c[0] == wanted), None)

    def answer(self, to, path: str, body: bytes) -> None:  # type: ignore[no-untyped-def]
        parts = path.split("/")
        if path == "api/repos/create":
            form = json.loads(body)
            name = f"{form.get('organization') or 'me'}/{form['name']}"
            self.repos.setdefault(name, [])
            return to.say(200, json.dumps({"url": f"{self.address}/{name}"}).encode())
        if path == "api/validate-yaml":
            return to.say(200, b'{"errors": [], "warnings": []}')
        if path == "api/models":
            return to.say(200, json.dumps([{"id": name} for name in self.repos]).encode())
        if parts[0] == "api" and parts[1] in ("models", "datasets"):
            return self.api(to, "/".join(parts[2:4]), parts[4:], body)
        if len(parts) > 4 and "resolve" in parts:
            at = parts.index("resolve")
            return self.file(to, "/".join(parts[at - 2 : at]), parts[at + 1], "/".join(parts[at + 2 :]))
        to.say(404)

    def api(self, to, repo: str, rest: list[str], body: bytes) -> None:  # type: ignore[no-untyped-def]
        if repo not in self.repos:
            return to.say(404, X_Error_Code="RepoNotFound")
        match rest:
            case [] | ["revision", _]:
                found = self.find(repo, rest[1] if rest else "main")
                if found is None:
                    return to.say(404, X_Error_Code="RevisionNotFound")
                siblings = [_sibling(name, data) for name, data in found[1].items()]
                to.say(200, json.dumps({"id": repo, "sha": found[0], "siblings": siblings, "tags": []}).encode())
            case ["preupload", _]:
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                to.say(200, json.dumps({"files": files}).encode())
            case ["commit", _]:
                lines = [json.loads(line) for line in body.splitlines()]
                new = {e["value"]["path"]: base64.b64decode(e["value"]["content"]) for e in lines if e["key"] == "file"}
                oid = self.commit(repo, new)
                said = {"commitUrl": f"{self.address}/{repo}/commit/{oid}", "commitOid": oid, "success": True}
                to.say(200, json.dumps(said).encode())
            case ["tag", revision]:
                self.tags.setdefault(repo, {})[json.loads(body)["tag"]] = revision
                to.say(200)
            case _:
                to.say(404)

    def file(self, to, repo: str, revision: str, name: str) -> None:  # type: ignore[no-untyped-def]
        found = self.find(repo, revision)
        if found is None or name not in found[1]:
            return to.say(404, X_Error_Code="EntryNotFound")
        data = found[1][name]
        to.say(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=found[0])


def _sibling(name: str, data: bytes) -> dict[str, object]:
    form: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if name.endswith(".safetensors"):
        form["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return form
