"""The ordinary way: push, pull, lock, run with a lock; a real registry, a folder, and no tool of ours at the end."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from recipelang import __version__
from recipelang.artifact.address import parse_reference
from recipelang.artifact.contents import pack
from recipelang.artifact.lock import Lock, differences
from recipelang.artifact.pinning import _compatible
from recipelang.artifact.referrers import BUNDLE, Referrer
from recipelang.artifact.registry import Registry

from ..cli.command import command


def _digest(out: str, what: str) -> str:
    return next(line.split()[1] for line in out.splitlines() if line.startswith(what))


def test_a_recipe_has_the_same_digests_in_a_folder_and_in_a_registry(published: Path, registry, monkeypatch):
    target = f"oci://{registry.host}/same/tiny"
    folder, pushed = command("push", "tiny.recipe", "shared"), command("push", "tiny.recipe", target, "--allow-private")
    assert (folder.code, pushed.code) == (0, 0)
    manifest = _digest(folder.out, "pinned").removeprefix("shared@")
    assert f"{target}@{manifest}" in pushed.out
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    for source in ("shared", f"{target}:1.0.0", f"{target}@{manifest}"):
        pulled = command("pull", source, "--allow-private")
        assert (pulled.code, _digest(pulled.out, "manifest")) == (0, manifest), pulled.err
    spec = command("digest", "tiny.recipe", "--only", "spec").out.strip()
    assert _digest(pulled.out, "spec") == f"sha256:{spec}"
    assert command("digest", f"{target}:1.0.0", "--only", "spec").out.strip() == spec
    assert command("validate", f"{target}:1.0.0").code == 0


def test_an_artifact_is_read_with_http_and_hashes_alone(published: Path, registry):
    command("push", "tiny.recipe", f"oci://{registry.host}/plain/tiny", "--allow-private")
    base = f"http://{registry.host}/v2/plain/tiny"

    def get(path: str) -> bytes:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        with urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", headers=accept), timeout=5) as answer:
            return answer.read()

    manifest = json.loads(get("manifests/1.0.0"))
    assert manifest["artifactType"] == "application/vnd.recipelang.recipe.v1"
    files = {}
    for part in (manifest["config"], *manifest["layers"]):
        data = get(f"blobs/{part['digest']}")
        assert (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) == (part["digest"], part["size"])
        files[part.get("annotations", {}).get("org.opencontainers.image.title", "spec")] = data
    assert files["tiny.recipe"] == Path("tiny.recipe").read_bytes()
    assert hashlib.sha256(files["spec"]).hexdigest() == command("digest", "tiny.recipe", "--only", "spec").out.strip()
    assert json.loads(files["tiny.recipe.lock"])["spec"] == manifest["config"]["digest"]


def test_from_a_run_to_a_clean_machine_and_the_same_weights(project: Path, registry, monkeypatch, tmp_path: Path):
    path = project / "tiny.recipe"
    text = (
        path.read_text("utf-8")
        .replace("length = 2 epochs", "length = 1 epoch")
        .replace("rewind = 1 epoch", "rewind = 3 steps")
    )
    path.write_text(text + '\nmeta { version = "1.0.0" }\n', "utf-8")
    first = command("run", "tiny.recipe", "-p", "target=80%", "-o", "first")
    assert first.code == 0, first.err
    assert "wrote tiny.recipe.lock" in first.out
    reference = f"oci://{registry.host}/runs/tiny"
    assert command("push", "first", reference, "--allow-private").code == 0
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "another-machine"))
    assert command("pull", f"{reference}:1.0.0", "-o", "clean", "--allow-private").code == 0
    assert command("verify", f"{reference}:1.0.0", "--allow-private").code == 0
    assert str(project) not in (project / "clean" / "tiny.recipe").read_text("utf-8")
    for name in ("train.json", "dev.json"):
        shutil.copy(project / name, project / "clean")
    shutil.copytree(project / "model", project / "clean" / "model")
    again = command("run", "clean/tiny.recipe", "--locked", "-o", "second")
    assert again.code == 0, again.err
    plans = [json.loads((project / run / "recipe" / "plan.json").read_text()) for run in ("first", "second")]
    assert plans[0]["spec_digest"] == plans[1]["spec_digest"]
    assert plans[0]["behaviour_digest"] == plans[1]["behaviour_digest"]
    weights = [sorted((project / run).rglob("*.safetensors")) for run in ("first", "second")]
    weights = [[w for w in found if "checkpoints" not in w.parts] for found in weights]
    assert weights[0]
    assert [w.read_bytes() for w in weights[0]] == [w.read_bytes() for w in weights[1]]


def test_a_version_is_published_once(published: Path, registry):
    target = f"oci://{registry.host}/once/tiny"
    for place in (target, "shared"):
        assert "pushed" in command("push", "tiny.recipe", place, "--allow-private").out
        assert "already there" in command("push", "tiny.recipe", place, "--allow-private").out
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace("batch = 8\n", "batch = 4\n").replace("= 8\n", "= 4\n", 1), "utf-8")
    assert command("push", "tiny.recipe", target, "--allow-private").codes == ["E132"]
    assert command("lock", "tiny.recipe").code == 0
    for place in (target, "shared"):
        assert command("push", "tiny.recipe", place, "--allow-private").codes == ["E124"]


def test_a_recipe_builds_on_one_elsewhere_through_its_lock(published: Path, registry, monkeypatch):
    base = f"oci://{registry.host}/bases/tiny"
    command("push", "tiny.recipe", base, "--allow-private")
    child = f'recipe 1 "child"\nextends "{base}:1.0.0"\nset target = 70%\nmeta {{ version = "2.0.0" }}\n'
    (published / "child.recipe").write_text(child.replace("meta", "patch meta"), "utf-8")
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    before = command("validate", "child.recipe")
    assert before.code == 1
    assert "error[E047]" in before.out + before.err
    assert "recipelang lock child.recipe" in before.out + before.err
    assert command("lock", "child.recipe", "--allow-private").codes == ["E131"], "its paths are not the child's"
    own = 'patch model { base = "model" }\npatch data {\n  train = "train.json"\n  validation = "dev.json"\n}\n'
    (published / "child.recipe").write_text(child.replace("meta", "patch meta") + own, "utf-8")
    locked = command("lock", "child.recipe", "--allow-private")
    assert locked.code == 0, locked.err
    assert f"new      recipe   {base}:1.0.0" in locked.out
    assert command("validate", "child.recipe").code == 0
    pushed = command("push", "child.recipe", f"oci://{registry.host}/children/child", "--allow-private")
    assert pushed.code == 0, pushed.err
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "a-third-machine"))
    pulled = command("pull", f"oci://{registry.host}/children/child:2.0.0", "--allow-private")
    assert pulled.code == 0, pulled.err
    assert _digest(pulled.out, "spec") == f"sha256:{command('digest', 'child.recipe', '--only', 'spec').out.strip()}"


def test_a_lock_pins_contents_and_says_what_changed(published: Path):
    assert command("lock", "tiny.recipe").code == 0
    assert "unchanged" in command("lock", "tiny.recipe").out
    (published / "train.json").write_text('{"what": "else"}', "utf-8")
    stale = command("run", "tiny.recipe", "--locked")
    assert stale.codes == ["E132"]
    assert "`train.json` has changed" in stale.err
    again = command("lock", "tiny.recipe")
    assert "changed  dataset  train.json" in again.out


def test_a_lock_for_other_releases_is_refused_where_it_is_to_be_kept(published: Path):
    assert command("lock", "tiny.recipe").code == 0
    path = published / "tiny.recipe.lock"
    before = path.read_text("utf-8")
    path.write_text(re.sub(r'(?<="recipelang": ")[^"]+', ">= 98.1, < 99", before), "utf-8")
    stale = command("run", "tiny.recipe", "--locked")
    assert stale.codes == ["E132"]
    assert f"for recipelang >= 98.1, < 99, this is {__version__}" in stale.err
    assert command("lock", "tiny.recipe").code == 0
    assert path.read_text("utf-8") == before


@pytest.mark.parametrize("ours", ["2.3.0rc1", "2.3.0.dev4", "2.3.0", "2.9.1"])
def test_a_lock_is_for_the_release_that_wrote_it_and_its_candidates(ours: str, monkeypatch):
    monkeypatch.setattr("recipelang.artifact.pinning.__version__", ours)
    monkeypatch.setattr("recipelang.artifact.lock.__version__", ours)
    lock = Lock("a", tools={"recipelang": _compatible()})
    assert differences(lock, lock, varied=False) == []


def test_locked_needs_a_lock(published: Path):
    assert command("run", "tiny.recipe", "--locked").codes == ["E132"]


def test_what_speaks_of_a_recipe_is_found_again_by_older_registries_too(artifact, registry):
    place = Registry(parse_reference(f"oci://{registry.host}/signed/tiny:1.0.0"), frozenset({registry.host}))
    place.push(artifact, "1.0.0")
    for text in (b"one", b"two"):
        place.attach(artifact, Referrer(BUNDLE, text))
    place.attach(artifact, Referrer(BUNDLE, b"two"))
    assert sorted(f.data for f in place.referrers(artifact.digest)) == [b"one", b"two"]


def test_a_library_and_a_base_without_values_can_be_shared(here: Path):
    (here / "values.recipe").write_text('recipe 1 "values"\nlet warm = 2 epochs\n', "utf-8")
    assert command("push", "values.recipe", "shared").code == 0
    pulled = command("pull", "shared", "-o", "copy")
    assert pulled.code == 0, pulled.err
    assert "some values are not set" in pulled.out
    assert (here / "copy" / "values.recipe").read_bytes() == (here / "values.recipe").read_bytes()


def test_the_same_files_are_the_same_artifact(artifact):
    from recipelang.artifact.contents import File
    from recipelang.artifact.manifest import LOCK, README

    kinds = {d.title: d.media_type for d in artifact.manifest.layers}
    assert set(kinds.values()) >= {LOCK, README}
    files = [File(t, d, kinds[t]) for t, d in artifact.files().items()]
    assert pack(files, artifact.blobs[artifact.spec], artifact.manifest.annotations).digest == artifact.digest


@pytest.mark.parametrize(
    "wrong", ["oci://h/A:1", "oci://h/a:1:2", "oci://h", "hf://a", "oci://ghcr.iо/a:1", "hf://a/b@../c"]
)
def test_a_reference_is_plain(here: Path, wrong: str):
    assert command("pull", wrong).codes == ["E120"]


def test_a_file_of_the_hub_that_was_exchanged_in_its_cache_is_noticed(tmp_path: Path):
    from recipelang.artifact.lock import Lock
    from recipelang.artifact.pinning import damaged_files

    (tmp_path / "model.safetensors").write_bytes(b"weights")
    files = {"model.safetensors": {"sha256": hashlib.sha256(b"weights").hexdigest(), "size": 7}}
    lock = Lock("a", refs={"hf://o/m": {"kind": "model", "revision": "0" * 40, "files": files}})
    assert damaged_files(lock, {"hf://o/m": tmp_path}) == []
    (tmp_path / "model.safetensors").write_bytes(b"others!")
    assert damaged_files(lock, {"hf://o/m": tmp_path}) == ["`model.safetensors` of `hf://o/m` has changed"]
