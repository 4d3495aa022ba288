"""A recipe where it was pushed to: checked, signed, and told of; with a run of it beside."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from recipelang.artifact.referrers import BUNDLE, STATEMENT

from ..cli.command import command
from ..signing import make_key
from .hub_server import Hub
from .test_hub import hub, told  # noqa: F401 (a fixture)


@pytest.fixture
def key(here: Path) -> Path:
    return _key(here, "key")


def _key(here: Path, name: str) -> Path:
    make_key(here / f"{name}.pem", here / f"{name}.pub")
    return here / f"{name}.pem"


def _checks(out: str) -> dict[tuple[int, str], str]:
    return {(c["level"], c["what"]): c["outcome"] for c in json.loads(out)["checks"]}


ALL = {(1, "manifest"): "ok", (1, "files"): "ok", (1, "recipe"): "ok", (1, "lock"): "ok"}
NO_WEIGHTS = {(3, "weights"): "not done", (4, "evaluations"): "not done"}


@pytest.mark.parametrize("kind", ["folder", "registry"])
def test_a_published_recipe_is_signed_and_verified_where_it_is(published: Path, registry, key: Path, kind: str):
    place = "shared" if kind == "folder" else f"oci://{registry.host}/signed-{kind}/tiny"
    assert command("push", "tiny.recipe", place, "--allow-private").code == 0
    where = place if kind == "folder" else f"{place}:1.0.0"
    before = command("verify", where, "--allow-private", "--format", "json")
    assert before.code == 0, before.err
    assert _checks(before.out) == {**ALL, (2, "signature"): "not done", **NO_WEIGHTS}
    assert command("verify", where, "--allow-private", "--key", "key.pub").codes == ["E143"]
    signed = command("sign", where, "--key", key, "--allow-private")
    assert (signed.code, "signed by the key SHA256:" in signed.out) == (0, True), signed.err
    after = command("verify", where, "--allow-private", "--key", "key.pub")
    assert (after.code, "the recipe is signed by the key SHA256:" in after.out) == (0, True), after.err
    assert "name its signer" in command("verify", where, "--allow-private").out
    _key(published, "other")
    other = command("verify", where, "--allow-private", "--key", "other.pub")
    assert (other.code, other.codes) == (5, ["E142"])
    command("sign", where, "--key", "other.pem", "--allow-private")
    for public in ("key.pub", "other.pub"):
        assert command("verify", where, "--allow-private", "--key", public).code == 0


def test_a_signature_is_of_one_version(published: Path, key: Path):
    command("push", "tiny.recipe", "shared")
    command("sign", "shared", "--key", key)
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace('"1.0.0"', '"1.0.1"'), "utf-8")
    command("push", "tiny.recipe", "shared")
    assert command("verify", "shared:1.0.0", "--key", "key.pub").code == 0
    assert command("verify", "shared:1.0.1", "--key", "key.pub").codes == ["E143"]


def test_a_signature_of_another_recipe_is_none(published: Path, key: Path):
    """Somebody attaches a true signature to a recipe that it is not of."""
    from recipelang.artifact.layout import attach, read_layout, referrers

    command("push", "tiny.recipe", "first")
    command("sign", "first", "--key", key)
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace('"1.0.0"', '"1.0.1"'), "utf-8")
    command("push", "tiny.recipe", "second")
    (bundle,) = referrers(Path("first"), read_layout(Path("first")).digest)
    assert bundle.artifact_type == BUNDLE
    attach(read_layout(Path("second")), Path("second"), bundle)
    assert command("verify", "second", "--key", "key.pub").codes == ["E142"]


def test_what_was_changed_in_a_folder_is_told(published: Path, key: Path):
    command("push", "tiny.recipe", "shared")
    command("sign", "shared", "--key", key)
    for blob in sorted(Path("shared/blobs/sha256").iterdir()):
        data = blob.read_bytes()
        if data == b"{}":
            continue  # the empty config of a signature says nothing
        blob.write_bytes(data[:-3] + b"!" + data[-2:])
        ended = command("verify", "shared", "--key", "key.pub")
        assert (ended.code, ended.codes) in [(5, ["E125"]), (5, ["E122"]), (1, ["E125"])], blob.name
        blob.write_bytes(data)
    assert command("verify", "shared", "--key", "key.pub").code == 0


def test_a_run_that_was_pushed_is_told_of_with_its_claims(project: Path, registry, key: Path):
    _short(project)
    assert command("run", "tiny.recipe", "-o", "first").code == 0
    files = json.loads((project / "first/recipe/statement.json").read_text("utf-8"))["predicate"]["files"]
    assert "recipe/recipe.lock" in files
    whole = command("verify", "first", "--format", "json")
    assert _checks(whole.out)[1, "lock"] == "ok"
    lock = project / "first/recipe/recipe.lock"
    kept = lock.read_bytes()
    lock.write_bytes(kept.replace(b"sha256:", b"sha256:0", 1))
    assert set(command("verify", "first").codes) == {"E136", "E138"}  # the file, and what was typed, which it pins
    lock.write_bytes(kept)
    assert command("sign", "first", "--key", key).code == 0
    reference = f"oci://{registry.host}/told/tiny"
    assert command("push", "first", reference, "--allow-private").code == 0
    told = command("verify", f"{reference}:1.0.0", "--key", "key.pub", "--allow-private", "--format", "json")
    assert told.code == 0, told.err
    assert _checks(told.out) == {**ALL, (1, "runs"): "ok", (2, "signature"): "ok", **NO_WEIGHTS}
    found = json.loads(told.out)
    assert found["claims"] and {c["by"] for c in found["claims"]} == {"claimed"}
    assert "one of its runs is signed" in next(c["told"] for c in found["checks"] if c["what"] == "signature")


def test_a_later_run_that_nobody_signed_does_not_speak_for_the_signed_one(project: Path, key: Path):
    """Whoever may push can attach a statement with better figures and a later time."""
    from recipelang.artifact.layout import attach, read_layout
    from recipelang.artifact.referrers import Referrer

    _short(project)
    assert command("run", "tiny.recipe", "-o", "first").code == 0
    assert command("sign", "first", "--key", key).code == 0
    pushed = command("push", "first", "shared")
    assert (pushed.code, "attached  the statement of the run, and its signature" in pushed.out) == (0, True), pushed.err
    true = json.loads(command("verify", "shared", "--format", "json").out)["claims"]
    form = json.loads((project / "first/recipe/statement.json").read_text("utf-8"))
    form["predicate"]["time"] = "2999-01-01T00:00:00+00:00"
    form["predicate"]["claims"][0]["measured"] = "99.99 %"
    attach(read_layout(Path("shared")), Path("shared"), Referrer(STATEMENT, json.dumps(form).encode()))
    assert json.loads(command("verify", "shared", "--format", "json").out)["claims"][0]["measured"] == "99.99 %"
    told = json.loads(command("verify", "shared", "--key", "key.pub", "--format", "json").out)
    assert (told["claims"], told["notes"]) == (true, [])
    command("sign", "shared", "--key", key)
    both = command("verify", "shared", "--key", "key.pub").out
    assert "the recipe and the statement of one of its runs are signed by" in both
    _key(project, "other")
    assert command("sign", "shared", "--key", "other.pem").code == 0
    other = command("verify", "shared", "--key", "other.pub", "--format", "json")
    assert other.code == 0 and "not signed by the key or identity you named" in json.loads(other.out)["notes"][0]


WRONG_RUNS = {
    "a recipe that is not UTF-8": ("portable.recipe", b"\xff\xfe", "E002"),
    "another recipe": ("portable.recipe", lambda data: data.replace(b"temperature = 2", b"temperature = 3"), "E138"),
    "no digests": ("origin.json", b'{"name": "tiny", "contents": 5}', "E137"),
    "words for digests": ("origin.json", b'{"name": "tiny", "contents": {"model": "none"}}', "E137"),
    "a folder for a statement": ("statement.json", None, "E139"),
    "a folder for a lock": ("recipe.lock", None, "E139"),
    "a folder for a recipe": ("portable.recipe", None, "E139"),
}


def test_a_run_that_was_changed_is_not_pushed(project: Path, registry):
    _short(project)
    assert command("run", "tiny.recipe", "-o", "first").code == 0
    _goes_to_the_recipe_that_is_there(project, registry)
    for name, (title, data, code) in WRONG_RUNS.items():
        path = project / "first/recipe" / title
        kept = path.read_bytes()
        path.unlink()
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data(kept) if callable(data) else data)
        assert (command("push", "first", "shared").codes, Path("shared").exists()) == ([code], False), name
        path.rmdir() if data is None else path.unlink()
        path.write_bytes(kept)
    assert command("push", "first", "shared").code == 0


def _goes_to_the_recipe_that_is_there(project: Path, registry) -> None:
    """The author pushed the recipe as it is written; a run of it is told of there, and one of another recipe is not."""
    for place in ("there", f"oci://{registry.host}/there/tiny"):
        where = f"{place}:1.0.0"
        assert command("push", "tiny.recipe", place, "--allow-private").code == 0
        before = command("inspect", where).out
        pushed = command("push", "first", place, "--allow-private")
        assert (pushed.code, pushed.out.split("  ")[0]) == (0, "already there"), pushed.err
        assert command("inspect", where).out == before
        assert _checks(command("verify", where, "--allow-private", "--format", "json").out)[1, "runs"] == "ok"
    path = project / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace("temperature = 2", "temperature = 3"), "utf-8")
    command("lock", "tiny.recipe")
    assert command("push", "tiny.recipe", "another").code == 0
    assert command("push", "first", "another").codes == ["E124"]


def _short(project: Path) -> None:
    path = project / "tiny.recipe"
    text = path.read_text("utf-8").replace("2 epochs", "1 epoch").replace("rewind = 1 epoch", "rewind = 3 steps")
    path.write_text(text + '\nmeta { version = "1.0.0" }\n', "utf-8")


def test_what_is_pinned_in_a_folder_can_be_typed(published: Path):
    pinned = next(
        line.split()[1] for line in command("push", "tiny.recipe", "shared").out.splitlines() if "pinned" in line
    )
    for words in (["pull", pinned, "-o", "got"], ["verify", pinned], ["inspect", pinned]):
        ended = command(*words)
        assert ended.code == 0, ended.err
    assert command("pull", f"shared@sha256:{'0' * 64}").codes == ["E130"]
    told = command("validate", "shared:1.0.0")
    assert "`recipelang pull shared:1.0.0 -o DIR`" in told.out + told.err


def test_a_folder_to_write_to_is_a_new_one(published: Path):
    command("push", "tiny.recipe", "shared")
    (published / "empty").mkdir()
    assert command("pull", "shared", "-o", "empty").code == 0
    assert command("pull", "shared", "-o", "empty").code == 0, "the same is there"
    for taken in (".", "shared", "tiny.recipe"):
        assert command("pull", "shared", "-o", taken).codes == ["E085"], taken
    assert command("pull", "shared", "-o", "x" * 300).codes == ["E084"]
    assert command("push", "tiny.recipe", "x" * 300).codes == ["E084"]


def test_a_key_that_is_none_is_told_of_before_anything_is_checked(published: Path, key: Path):
    command("push", "tiny.recipe", "shared")
    for wrong in ("nowhere.pub", "key.pem"):
        ended = command("verify", "shared", "--key", wrong)
        assert (ended.code, ended.codes, ended.out) == (1, ["E145"], "")


def test_a_recipe_file_is_no_weight_file(published: Path, key: Path):
    told = command("verify", "tiny.recipe")
    assert (told.code, told.codes, told.out) == (1, ["E135"], "")
    signed = command("sign", "tiny.recipe", "--key", key)
    assert (signed.codes, "push" in signed.err) == (["E135"], True)


def test_verify_asks_the_place_also_for_a_digest(published: Path, registry):
    place = f"oci://{registry.host}/gone/tiny"
    command("push", "tiny.recipe", "shared")
    digest = json.loads(command("inspect", "shared", "--format", "json").out)["digests"]["manifest"]
    assert command("pull", "shared").code == 0, "it is in the cache by now"
    assert command("verify", f"{place}@{digest}", "--allow-private").codes == ["E130"]


def test_nothing_is_published_where_the_cache_cannot_be_written(published: Path, registry, monkeypatch):
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "tiny.recipe"))  # a file
    place = f"oci://{registry.host}/no-cache/tiny"
    assert command("push", "tiny.recipe", place, "--allow-private").codes == ["E084"]
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "cache"))
    assert command("pull", f"{place}:1.0.0", "--allow-private").codes == ["E130"]


def test_attachments_of_other_tools_are_passed_over(published: Path):
    command("push", "tiny.recipe", "shared")
    index = Path("shared/index.json")
    form = json.loads(index.read_text("utf-8"))
    other = {"mediaType": _OCI, "artifactType": "application/spdx+json", "digest": "sha256:" + "a" * 64, "size": 1}
    index.write_text(json.dumps({**form, "manifests": [*form["manifests"], other]}))
    assert command("verify", "shared").code == 0


def test_a_run_of_another_recipe_is_not_believed(published: Path):
    from recipelang.artifact.layout import attach, read_layout
    from recipelang.artifact.referrers import Referrer
    from recipelang.engine.statement import PREDICATE_TYPE, STATEMENT_TYPE

    command("push", "tiny.recipe", "shared")
    empty = ("parameters", "contents", "environment", "metrics", "tensors", "patterns", "never", "files")
    predicate = {name: {} for name in empty} | {"claims": [], "name": "tiny", "status": "finished"}
    predicate["format_version"] = "1.0"
    predicate["digests"] = dict.fromkeys(("spec", "behaviour", "run"), "sha256:" + "0" * 64)
    subject = [{"name": "model.safetensors", "digest": {"sha256": "0" * 64}}]
    form = {"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE, "subject": subject, "predicate": predicate}
    attach(read_layout(Path("shared")), Path("shared"), Referrer(STATEMENT, json.dumps(form).encode()))
    assert command("verify", "shared").codes == ["E138"]


def test_inspect_tells_of_what_was_pushed_and_pulled(published: Path, registry, monkeypatch):
    reference = f"oci://{registry.host}/inspected/tiny:1.0.0"
    command("push", "tiny.recipe", "shared")
    folder = json.loads(command("inspect", "shared", "--format", "json").out)
    assert (folder["kind"], folder["annotations"]["org.opencontainers.image.authors"]) == ("packed recipe", "A. Author")
    assert json.loads(command("inspect", "shared:1.0.0", "--format", "json").out)["digests"] == folder["digests"]
    command("push", "tiny.recipe", reference, "--allow-private")
    assert json.loads(command("inspect", reference, "--format", "json").out)["digests"] == folder["digests"]
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    assert command("inspect", reference).codes == ["E047"], "looking fetches nothing"
    index = published / "shared/index.json"
    for digest in ("sha256:../../../tiny.recipe", "sha256:" + "a" * 64):
        index.write_text(json.dumps({"manifests": [{"mediaType": _OCI, "digest": digest}]}))
        assert command("inspect", "shared").codes in (["E122"], ["E125"])


def test_references_that_were_pulled_are_completed(published: Path, registry):
    from recipelang.cli.complete import recipes, what_tells

    reference = f"oci://{registry.host}/completed/tiny:1.0.0"
    assert recipes("oci://") == []
    command("push", "tiny.recipe", reference, "--allow-private")
    assert recipes("oci://127") == what_tells("o") == [reference]
    assert recipes("") == ["tiny.recipe"]
    assert command("fmt", "--check", reference).code == 4
    assert command("fmt", reference).codes == ["E084"], "what was pulled is not changed"


_OCI = "application/vnd.oci.image.manifest.v1+json"


def test_a_signature_on_the_hub(published: Path, hub: Hub, key: Path):  # noqa: F811
    assert told(hub, published, "push", "tiny.recipe", "hf://me/tiny")[0] == 0
    assert told(hub, published, "sign", "hf://me/tiny@1.0.0", "--key", str(key))[0] == 0
    code, out, err = told(hub, published, "verify", "hf://me/tiny@1.0.0", "--key", "key.pub")
    assert (code, "the recipe is signed by the key" in out) == (0, True), err


def test_openssl_agrees_with_a_signature(published: Path, key: Path):
    """DSSE by hand: what the envelope is of, and a tool that knows nothing of us."""
    import base64

    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL HERE: a signature was not checked by a tool of others")
    command("push", "tiny.recipe", "shared")
    command("sign", "shared", "--key", key)
    from recipelang.artifact.layout import read_layout, referrers

    (bundle,) = referrers(Path("shared"), read_layout(Path("shared")).digest)
    envelope = json.loads(bundle.data)["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    Path("message").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    Path("signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    asked = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message"]
    assert subprocess.run([*asked, "-sigfile", "signature"], check=False, capture_output=True).returncode == 0
    subject = json.loads(payload)["subject"][0]["digest"]["sha256"]
    assert f"sha256:{subject}" == read_layout(Path("shared")).digest
