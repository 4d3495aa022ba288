"""Each attack is refused with its code, and nothing of it is kept."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recipelang.artifact import cache, http, manifest as m
from recipelang.artifact.address import parse_reference
from recipelang.artifact.contents import Artifact, File, pack
from recipelang.artifact.fetch import Fetching
from recipelang.artifact.guard import Guarded
from recipelang.artifact.logins import _belongs
from recipelang.artifact.places import get
from recipelang.artifact.referrers import BUNDLE, MOST, Referrer, write_referrer
from recipelang.artifact.registry import _NEXT, Registry
from recipelang.loading.files import bundled
from recipelang.source import RecipeError

from ..cli.command import command
from .liar import Liar, drip


def refused(liar: Liar, *options: str) -> list[str]:
    """The codes of a pull that fails; the cache must be as empty as before."""
    cache_folder = Path(os.environ["RECIPELANG_CACHE"]) / "artifacts"
    before = sorted(cache_folder.rglob("*")) if cache_folder.exists() else []
    ended = command("pull", liar.reference, "--allow-private", "-o", "got", *options)
    assert ended.code == 1
    assert not Path("got").exists()
    assert (sorted(cache_folder.rglob("*")) if cache_folder.exists() else []) == before
    return ended.codes


def changed(artifact: Artifact, change) -> Artifact:
    """The same with another manifest, which its digest fits again."""
    form = json.loads(artifact.data)
    change(form)
    return Artifact(json.dumps(form).encode(), artifact.manifest, artifact.blobs)


def test_the_liar_is_believed_when_it_does_not_lie(liar: Liar):
    assert command("pull", liar.reference, "--allow-private", "-o", "got").code == 0


def test_tampered_layer(liar: Liar):
    layer = liar.artifact.manifest.layers[0]
    data = liar.artifact.blobs[layer.digest]
    liar.lies[layer.digest] = lambda _: (200, {}, data.replace(b"90%", b"91%"))
    assert refused(liar) == ["E125"]


def test_tampered_config(liar: Liar):
    spec = liar.artifact.blobs[liar.artifact.spec]
    liar.lies[liar.artifact.spec] = lambda _: (200, {}, spec[:-2] + b"x" + spec[-1:])
    assert refused(liar) == ["E125"]


def test_files_exchanged_and_every_digest_made_to_fit(liar: Liar, artifact: Artifact):
    kinds = {d.title: d.media_type for d in artifact.manifest.layers}
    files = [File(t, d.replace(b"= 90%", b"= 91%"), kinds[t]) for t, d in artifact.files().items()]
    liar.artifact = pack(files, artifact.blobs[artifact.spec], artifact.manifest.annotations)
    assert refused(liar) == ["E126"]


def test_manifest_that_is_not_the_one_asked_for(liar: Liar, artifact: Artifact):
    liar.artifact = changed(artifact, lambda f: f["annotations"].update(x="y"))
    assert command("pull", f"oci://{liar.host}/team/tiny@{artifact.digest}", "--allow-private").codes == ["E125"]


def _title(name: str):
    return lambda f: f["layers"][0]["annotations"].update({m.TITLE: name})


WRONG = {
    "an image": lambda f: f.update(artifactType="application/vnd.oci.image.config.v1+json"),
    "an index": lambda f: f.update(mediaType=m.INDEX),
    "another config": lambda f: f["config"].update(mediaType="application/vnd.oci.image.config.v1+json"),
    "a packed layer": lambda f: f["layers"][0].update(mediaType="application/vnd.oci.image.layer.v1.tar+gzip"),
    "a layer from elsewhere": lambda f: f["layers"][0].update(urls=["http://169.254.169.254/"]),
    "a negative size": lambda f: f["layers"][0].update(size=-1),
    "a size that is a word": lambda f: f["layers"][0].update(size="8"),
    "a huge layer": lambda f: f["layers"][0].update(size=10**12),
    "another hash": lambda f: f["layers"][0].update(digest="sha1:" + 40 * "0"),
    "many layers": lambda f: f.update(layers=f["layers"] * 40),
    "no layers": lambda f: f.update(layers=[]),
    "annotations that are numbers": lambda f: f.update(annotations={"a": 1}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_recipe(liar: Liar, artifact: Artifact, wrong: str):
    liar.artifact = changed(artifact, WRONG[wrong])
    assert refused(liar) == ["E122"]


TITLES = [
    "../up.recipe", "a/../../up.recipe", "/etc/passwd", "C:\\x.recipe", "C:x.recipe", "a\\b.recipe", "~/x.recipe",
    "x.recipe:stream", "con.recipe", "sub/NUL", ".hidden", "a/.git/hooks", "a//b", "./a", "a/", "dot.", "",
    "a\x1b[2Jb.recipe", "a\u202eb.recipe", "a\u200bb.recipe", "a\nb.recipe", "\u0430bc.recipe", "e\u0301.recipe",
    "TINY.RECIPE.LOCK", "readme.MD", "tiny.recipe.lock/x", "x" * 201,
]  # fmt: skip


@pytest.mark.parametrize("title", TITLES, ids=lambda t: ascii(t)[:30])
def test_names_that_lead_elsewhere_or_lie(liar: Liar, artifact: Artifact, title: str):
    liar.artifact = changed(artifact, _title(title))
    assert refused(liar) == ["E123"]


def test_names_do_not_reach_the_terminal_as_they_are(liar: Liar, artifact: Artifact):
    liar.artifact = changed(artifact, _title("a\x1b]0;owned\x07.recipe"))
    ended = command("pull", liar.reference, "--allow-private")
    assert "\x1b" not in ended.out + ended.err
    liar.artifact = changed(artifact, lambda f: f["annotations"].update({m.TITLE: "fine\x1b[2J\u202e"}))
    ended = command("pull", liar.reference, "--allow-private")
    assert ended.codes == ["E126"]  # its files have another name
    assert not {"\x1b", "\u202e"} & set(ended.out + ended.err)


BOMBS = {
    "deep": b"[" * 100_000,
    "deep and sound": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a long number": b'{"schemaVersion": ' + b"9" * 5_000 + b"}",
    "a number beyond numbers": b'{"schemaVersion": 2, "annotations": 1e999}',
    "a key twice": b'{"schemaVersion": 2, "schemaVersion": 2}',
    "not a number": b'{"schemaVersion": NaN}',
    "not UTF-8": b"\xff\xfe",
    "huge": b" " * (m.MAX_MANIFEST + 1),
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_json_bombs_and_huge_manifests(liar: Liar, bomb: str):
    liar.lies["/manifests/"] = lambda _: (200, {}, BOMBS[bomb])
    assert refused(liar) == ["E122"]


def test_compressed_answers(liar: Liar):
    liar.lies["/blobs/"] = lambda _: (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b" + 100 * b"\0")
    assert refused(liar) == ["E128"]


def test_more_than_was_announced(liar: Liar):
    liar.lies["/blobs/"] = lambda _: (200, {}, b"x" * 5_000_000)
    assert refused(liar) == ["E122"]


def test_a_tag_moved_after_the_lock_is_told_of_and_not_followed(liar: Liar):
    artifact = liar.artifact = elsewhere('recipe 1 "values"\nlet x = 1 epoch\n')
    (Path("child.recipe")).write_text(f'recipe 1 "child"\nuse "{liar.reference}" as base\n', "utf-8")
    first = command("lock", "child.recipe", "--allow-private")
    assert first.code == 0, first.err
    moved = liar.artifact = elsewhere('recipe 1 "values"\nlet x = 2 epochs\n')
    second = command("lock", "child.recipe", "--allow-private")
    assert second.codes == ["W142"]
    assert artifact.digest in Path("child.recipe.lock").read_text("utf-8")
    assert command("pull", liar.reference, "--allow-private").codes == ["E124"]
    assert command("lock", "child.recipe", "--allow-private", "--upgrade", "all").code == 0
    assert moved.digest in Path("child.recipe.lock").read_text("utf-8")


# ------------------------------------------------------------------ addresses
def test_private_addresses_need_leave(liar: Liar):
    ended = command("pull", liar.reference)
    assert ended.codes == ["E127"]
    assert liar.asked == []


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "0.0.0.0", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1",
     "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1", "100.64.0.1"],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address(monkeypatch, address: str):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 443))])
    with pytest.raises(RecipeError) as caught:
        Guarded(frozenset()).connect_tcp("innocent.example.org", 443, 0.1)
    assert caught.value.diagnostics[0].code == "E127"


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x", "https://10.0.0.1/x", "http://example.org/", "file:///etc/passwd", "https://user:pw@127.0.0.1:1/", "https://[", "https://127.0.0.1:99999/", "https://ex\xe4mple.org/"])  # fmt: skip
def test_forwarded_to_where_it_may_not_go(liar: Liar, place: str):
    liar.lies["/blobs/"] = lambda _: (307, {"Location": place}, b"")
    assert refused(liar) == ["E127"]


@pytest.mark.parametrize("realm", ["https://[", "https://127.0.0.1:99999/", "https://ex\xe4mple.org/"])
def test_tokens_from_what_is_no_address(liar: Liar, realm: str):
    liar.lies["/v2/"] = lambda _: (401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b"")
    assert refused(liar) == ["E127"]


def test_an_upload_to_what_is_no_address(liar: Liar):
    liar.lies["/manifests/"] = lambda _: (404, {}, b"")
    liar.lies["/uploads/"] = lambda _: (202, {"Location": "https://["}, b"")
    liar.lies["/blobs/sha256"] = lambda _: (404, {}, b"")
    assert command("push", "tiny.recipe", f"oci://{liar.host}/team/tiny", "--allow-private").codes == ["E127"]


@pytest.mark.parametrize("seconds", ["\xb2", "-1", "1e9", "soon"])
def test_a_pause_that_is_no_number(liar: Liar, seconds: str):
    liar.lies["/manifests/"] = lambda _: (503, {"Retry-After": seconds}, b"")
    assert refused(liar) == ["E128"]


def test_forwarded_in_a_circle(liar: Liar):
    liar.lies["/blobs/"] = lambda _: (307, {"Location": f"http://{liar.host}/v2/team/tiny/blobs/x"}, b"")
    assert refused(liar) == ["E128"]


def _pages(liar: Liar, artifact: Artifact, following: Callable[[int], str]) -> Registry:
    """A registry that lists one signature a page; `following`: the link from a page to the next."""
    manifests: dict[str, bytes] = {}
    stored: dict[str, bytes] = {}
    for number in range(3):
        data, blobs = write_referrer(artifact, Referrer(BUNDLE, f"signature {number}".encode()))
        manifests[m.sha256(data)] = data
        stored |= blobs
    entries = [{"artifactType": BUNDLE, "digest": d} for d in manifests]
    others = [{"artifactType": "application/spdx+json", "digest": "sha256:" + "a" * 64}] * MOST

    def page(handler):
        number = int(handler.path.partition("last=")[2] or 0)
        link = following(number)
        headers = {"Link": f'<{link}>; rel="next"'} if link else {}
        return 200, headers, json.dumps({"manifests": [*others, entries[number % 3]]}).encode()

    liar.lies["/referrers/"] = page
    liar.lies["/manifests/"] = lambda handler: (200, {}, manifests[handler.path.rpartition("/")[2]])
    liar.lies["/blobs/"] = lambda handler: (200, {}, stored[handler.path.rpartition("/")[2]])
    return Registry(parse_reference(liar.reference), frozenset({liar.host}))


def test_a_list_in_pages_is_read_to_its_end(liar: Liar, artifact: Artifact):
    place = _pages(liar, artifact, lambda n: f"?last={n + 1}" if n < 2 else "")
    found = [r.data for r in place.referrers(artifact.digest)]
    assert sorted(found) == [b"signature 0", b"signature 1", b"signature 2"]


def test_a_list_of_pages_without_end_is_given_up(liar: Liar, artifact: Artifact):
    place = _pages(liar, artifact, lambda n: f"/v2/team/tiny/referrers/x?last={n + 1}")
    assert len(place.referrers(artifact.digest)) == MOST
    assert sum("/referrers/" in path for _, path, _ in liar.asked) == MOST


def test_a_header_of_links_is_read_in_no_time():
    began = time.monotonic()
    assert _NEXT.search("<a>;" * 25_000) is None
    assert time.monotonic() - began < 2
    assert _NEXT.search('<a>; rel="first", <b?n=2>; title="x"; rel="next"')[1] == "b?n=2"


def test_a_list_is_not_read_on_elsewhere(liar: Liar, artifact: Artifact):
    for elsewhere in ("http://127.0.0.1:1/list", "https://["):
        place = _pages(liar, artifact, lambda n, url=elsewhere: url)
        with pytest.raises(RecipeError) as caught:
            place.referrers(artifact.digest)
        assert caught.value.diagnostics[0].code == "E127"


def _log_in(host: str) -> str:
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir(parents=True, exist_ok=True)
    secret = base64.b64encode(b"me:hunter2").decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": secret}}}))
    return secret


def test_a_token_stays_with_its_registry(liar: Liar, artifact: Artifact, monkeypatch):
    """The registry asks for a token, and forwards blobs to storage: that is asked without."""
    secret = _log_in(liar.host)
    storage = Liar(artifact)
    monkeypatch.setenv("RECIPELANG_ALLOW_PRIVATE", storage.host)
    challenge = f'Bearer realm="http://{liar.host}/token",service="s"'

    def guarded(handler):
        if handler.headers.get("Authorization") != "Bearer t0ken":
            return 401, {"WWW-Authenticate": challenge}, b""
        if "/blobs/" in handler.path:
            return 307, {"Location": f"http://{storage.host}{handler.path}"}, b""
        return liar.honest(handler.path)

    liar.lies["/token"] = lambda _: (200, {}, b'{"token": "t0ken"}')
    liar.lies["/v2/"] = guarded
    ended = command("pull", liar.reference, "--allow-private")
    storage.close()
    assert ended.code == 0, ended.err
    assert any(path.startswith("/token") and h.get("authorization") == f"Basic {secret}" for _, path, h in liar.asked)
    assert storage.asked
    assert not any("authorization" in headers for _, _, headers in storage.asked)


def test_a_password_is_not_shown_to_another_server(liar: Liar, artifact: Artifact, monkeypatch):
    _log_in(liar.host)
    thief = Liar(artifact)
    monkeypatch.setenv("RECIPELANG_ALLOW_PRIVATE", thief.host)
    challenge = f'Bearer realm="http://localhost:{thief.host.rpartition(":")[2]}/token",service="s"'
    liar.lies["/v2/"] = lambda _: (401, {"WWW-Authenticate": challenge}, b"")
    codes = refused(liar)
    thief.close()
    assert (codes, thief.asked) == (["E127"], [])


def test_whose_server_of_tokens_it_is():
    assert _belongs("auth.docker.io", "registry-1.docker.io")
    assert _belongs("gitlab.com", "registry.gitlab.com")
    assert not _belongs("evil.example", "registry.docker.io")
    assert not _belongs("auth.evil.co.uk", "registry.good.co.uk")
    assert not _belongs("169.254.169.254", "1.2.169.254")


def test_an_upload_does_not_leave_the_host(liar: Liar):
    liar.lies["/manifests/"] = lambda _: (404, {}, b"")
    liar.lies["/uploads/"] = lambda _: (202, {"Location": "http://127.0.0.1:1/take-it"}, b"")
    liar.lies["/blobs/sha256"] = lambda _: (404, {}, b"")
    assert command("push", "tiny.recipe", f"oci://{liar.host}/team/tiny", "--allow-private").codes == ["E127"]


def test_credentials_are_not_echoed(liar: Liar, published: Path):
    secret = _log_in(liar.host)
    liar.lies["/v2/"] = lambda h: (
        (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
        if "Authorization" not in h.headers
        else (
            400,
            {},
            json.dumps({"errors": [{"code": "BAD", "message": h.headers["Authorization"] + "hunter2"}]}).encode(),
        )
    )
    ended = command("pull", liar.reference, "--allow-private")
    assert ended.codes == ["E128"]
    assert secret not in ended.out + ended.err
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize("where", ["the command line", "a recipe"])
def test_credentials_in_a_reference(here: Path, where: str):
    reference = "oci://me:hunter2@registry.example.org/base:1"
    if where == "a recipe":
        Path("a.recipe").write_text(f'recipe 1 "a"\nextends "{reference}"\n', "utf-8")
    ended = command("validate", "a.recipe") if where == "a recipe" else command("pull", reference)
    assert "error[E121]" in ended.out + ended.err
    assert "hunter2" not in ended.out + ended.err


def test_a_registry_that_drips(liar: Liar, monkeypatch):
    monkeypatch.setattr(http, "WHOLE", 0.4)
    monkeypatch.setattr(http, "TRIES", 2)
    liar.lies["/manifests/"] = drip
    assert refused(liar) == ["E128"]


def test_a_registry_that_says_nothing(liar: Liar, monkeypatch):
    monkeypatch.setattr(http, "STEP", 0.2)
    monkeypatch.setattr(http, "TRIES", 2)
    import time

    liar.lies["/manifests/"] = lambda _: time.sleep(1)
    assert refused(liar) == ["E128"]


def test_a_download_that_always_breaks_off(liar: Liar):
    liar.lies["/blobs/"] = lambda _: (200, {"Content-Length": "9999", "Connection": "close"}, b"x")
    codes = refused(liar)
    assert codes in (["E128"], ["E122"])


def test_a_download_that_breaks_off_goes_on_where_it_was(liar: Liar, artifact: Artifact):
    layer = artifact.manifest.layers[0]
    data, asked = artifact.blobs[layer.digest], []

    def cut(handler):
        asked.append(handler.headers.get("Range"))
        if asked[-1] is None:
            handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:100])
            return None
        return 206, {"Content-Range": f"bytes 100-{len(data) - 1}/{len(data)}"}, data[100:]

    liar.lies[layer.digest] = cut
    assert command("pull", liar.reference, "--allow-private").code == 0
    assert asked == [None, "bytes=100-"]


# ---------------------------------------------------------------- trust and disk
def elsewhere(text: str) -> Artifact:
    return pack([File("bad.recipe", text.encode())], None, {m.TITLE: "bad"})


REACHES = {
    "a file beside": 'extends "./secret.recipe"',
    "a file above": 'extends "../secret.recipe"',
    "an absolute file": 'extends "/etc/passwd"',
    "a file by its scheme": 'use "file://secret.recipe" as s',
}


@pytest.mark.parametrize("reach", REACHES)
def test_a_recipe_from_elsewhere_reads_no_file_here(liar: Liar, reach: str):
    Path("secret.recipe").write_text('recipe 1 "secret"\nlet x = 1\n', "utf-8")
    liar.artifact = elsewhere(f'recipe 1 "bad"\n{REACHES[reach]}\n')
    ended = command("pull", liar.reference, "--allow-private")
    assert ended.codes == ["E126"]
    assert "E131" in ended.err


def test_a_recipe_from_elsewhere_names_no_path_here(liar: Liar, project: Path):
    assert command("pull", liar.reference, "--allow-private").code == 0
    assert command("run", liar.reference, "--yes").codes == ["E131"]
    assert command("plan", liar.reference).codes == ["E131"]
    text = Path("tiny.recipe").read_text("utf-8")
    Path("other.recipe").write_text(text.replace("temperature = 2", "temperature = 3"), "utf-8")
    Path("train.json").write_bytes(Path("dev.json").read_bytes())
    linted = command("lint", liar.reference)
    assert "`model` is a path that you did not name" in linted.out + linted.err
    told = command("diff", liar.reference, "other.recipe")
    assert "refers to models and data on the publisher's machine" in told.out
    assert f"spec {liar.artifact.spec.removeprefix('sha256:')[:8]} ->" in told.out


def test_a_recipe_from_elsewhere_is_asked_about_once(project: Path, monkeypatch):
    path = project / "tiny.recipe"
    text = (
        path.read_text("utf-8")
        .replace('base = "model"', "base = base")
        .replace('train = "train.json", validation = "dev.json"', "train = t, validation = v")
    )
    path.write_text(
        text + '\nparam base: model\nparam t: dataset\nparam v: dataset\nmeta { version = "1.0.0" }\n', "utf-8"
    )
    from recipelang.cli.packed import packed

    server = Liar(packed("tiny.recipe").artifact)
    given = ["-p", "base=./model", "-p", "t=./train.json", "-p", "v=./dev.json", "--steps", "1"]
    assert command("pull", server.reference, "--allow-private").code == 0
    asked = command("run", server.reference, *given, "-o", "a")
    assert asked.codes == ["E133"], asked.err
    assert server.artifact.digest in asked.out
    assert not Path("a").exists()
    yes = command("run", server.reference, *given, "-o", "a", "--yes")
    assert "E133" not in yes.codes, yes.err
    assert command("run", server.reference, *given, "-o", "b").codes == yes.codes
    server.close()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "cut", "longer", "index"])
def test_a_folder_that_lies(artifact: Artifact, kind: str):
    command("push", "tiny.recipe", "shared")
    blob = Path("shared/blobs/sha256") / artifact.manifest.layers[0].digest.removeprefix("sha256:")
    data = blob.read_bytes()
    blob.unlink()
    match kind:
        case "link":
            Path("elsewhere").write_bytes(data)
            blob.symlink_to(Path("elsewhere").resolve())
        case "pipe":
            os.mkfifo(blob)
        case "folder":
            blob.mkdir()
        case "cut":
            blob.write_bytes(data[:-1])
        case "longer":
            blob.write_bytes(data + b"\n")
        case "index":
            blob.write_bytes(data)
            index = Path("shared/index.json")
            index.write_text(index.read_text().replace(artifact.digest, "sha256:../../../../elsewhere"))
    expected = {"link": "E123", "pipe": "E123", "folder": "E123", "index": "E122"}.get(kind, "E125")
    assert command("pull", "shared", "-o", "got").codes == [expected]
    assert not Path("got").exists()


def test_a_damaged_cache_is_not_believed(liar: Liar, artifact: Artifact):
    assert command("pull", liar.reference, "--allow-private").code == 0
    blob = cache._blob(artifact.manifest.layers[0].digest)
    blob.write_bytes(blob.read_bytes().replace(b"90%", b"91%"))
    ended = command("validate", liar.reference)
    assert "error[E047]" in ended.out + ended.err
    assert command("pull", liar.reference, "--allow-private").code == 0
    assert command("validate", liar.reference).code == 0


def test_a_lock_that_is_none(published: Path):
    entry, releases = '"refs": {"x": {"kind": "spell"}}', '"tools": {"recipelang": "any"}'
    wrong = (f'{{"lock": 1, "recipe": "a", {told}}}' for told in (entry, releases))
    for text in ("{", "[]", '{"lock": 2}', "[" * 9999, *wrong):
        Path("tiny.recipe.lock").write_text(text)
        assert command("run", "tiny.recipe", "--locked").codes == ["E134"], text[:20]


def test_recipes_of_recipes_end(artifact: Artifact, monkeypatch):
    monkeypatch.setattr("recipelang.artifact.fetch._MOST", 0)
    with pytest.raises(RecipeError) as caught:
        get("oci://127.0.0.1:1/a:1", Fetching(bundled))
    assert caught.value.diagnostics[0].code == "E042"
    assert parse_reference("oci://127.0.0.1:1/a:1").version == "1"
