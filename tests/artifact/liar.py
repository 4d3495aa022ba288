"""A registry that does what a test tells it to: every answer can be exchanged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from recipelang.artifact.contents import Artifact

#: status, headers, body
Said = tuple[int, dict[str, str], bytes]


class Liar:
    """Serves one artifact under every tag; `lies` maps a part of a path to what is answered there instead."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.lies: dict[str, Callable[[BaseHTTPRequestHandler], Said | None]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body after its head would wait 40 ms

            def log_message(self, *_: object) -> None:
                pass

            def do(self) -> None:
                outer.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                length = int(self.headers.get("Content-Length", 0))
                self.rfile.read(length)
                for part, lie in outer.lies.items():
                    if part in self.path:
                        said = lie(self)
                        break
                else:
                    said = outer.honest(self.path)
                if said is None:
                    self.close_connection = True
                    return
                status, headers, body = said
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """One who hangs up early is nothing to print about, least of all into what a command said."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def reference(self) -> str:
        return f"oci://{self.host}/team/tiny:1.0.0"

    def honest(self, path: str) -> Said:
        what = path.rpartition("/")[2]
        if "/manifests/" in path:
            return 200, {}, self.artifact.data
        if "/blobs/" in path and what in self.artifact.blobs:
            return 200, {}, self.artifact.blobs[what]
        return 404, {}, b"{}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for as long as anybody listens."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)
