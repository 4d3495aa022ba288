"""Folders of recipes that strangers edited, or that two write into: told of, mended by `push`, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from recipelang.artifact.contents import Artifact
from recipelang.artifact.layout import read_layout, write_layout
from recipelang.artifact.manifest import TITLE
from recipelang.engine.files import only_one
from recipelang.source import RecipeError

from ..cli.command import command
from .test_attacks import changed

INDEX, TYPE = "application/vnd.docker.distribution.manifest.list.v2+json", "application/x"


def edit(change: dict[str, Any], of_entry: bool) -> None:
    path = Path("shared/index.json")
    index = json.loads(path.read_text("utf-8"))
    (index["manifests"][0] if of_entry else index).update(change)
    path.write_text(json.dumps(index), "utf-8")


#: what is said of a manifest that is not so
LIES = [{"size": 3}, {"size": -1}, {"size": "1114"}, {"size": None}, {"mediaType": INDEX}, {"artifactType": TYPE}]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_an_entry_that_lies_is_told_of_and_mended_by_push(artifact: Artifact, lie: dict[str, Any]):
    write_layout(artifact, Path("shared"), "1.0.0")
    edit(lie, of_entry=True)
    with pytest.raises(RecipeError):
        read_layout(Path("shared"))
    assert write_layout(artifact, Path("shared"), "1.0.0")
    assert read_layout(Path("shared")).digest == artifact.digest
    assert len(json.loads(Path("shared/index.json").read_text("utf-8"))["manifests"]) == 1


def test_a_size_that_is_no_whole_number_is_none(artifact: Artifact):
    write_layout(artifact, Path("shared"), "1.0.0")
    edit({"size": float(len(artifact.data))}, of_entry=True)
    with pytest.raises(RecipeError):
        read_layout(Path("shared"))


@pytest.mark.parametrize("change", [{"schemaVersion": 1}, {"schemaVersion": None}, {"mediaType": INDEX}], ids=str)
def test_an_index_of_another_kind(artifact: Artifact, change: dict[str, Any]):
    write_layout(artifact, Path("shared"), "1.0.0")
    edit(change, of_entry=False)
    assert command("pull", "shared", "-o", "got").codes == ["E122"]
    assert command("push", "tiny.recipe", "shared").codes == ["E122"]


@pytest.mark.parametrize("mark", ['{"imageLayoutVersion": "9.0.0"}', "{}", "[]", "no JSON"])
def test_a_layout_of_another_version(artifact: Artifact, mark: str):
    write_layout(artifact, Path("shared"), "1.0.0")
    Path("shared/oci-layout").write_text(mark, "utf-8")
    assert command("pull", "shared", "-o", "got").codes == ["E122"]
    assert command("push", "tiny.recipe", "shared").codes == ["E122"]


def test_entries_of_others_stay(artifact: Artifact):
    write_layout(artifact, Path("shared"), "1.0.0")
    image = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 7}
    path = Path("shared/index.json")
    index = json.loads(path.read_text("utf-8"))
    index["manifests"].insert(0, {**image, "artifactType": TYPE, "annotations": None})
    path.write_text(json.dumps(index), "utf-8")
    assert not write_layout(artifact, Path("shared"), "1.0.0")
    assert json.loads(path.read_text("utf-8")) == index


def test_who_pushes_while_another_does_waits_for_it(artifact: Artifact):
    with only_one(Path("shared")), pytest.raises(RecipeError) as caught:
        write_layout(artifact, Path("shared"), "1.0.0")
    assert caught.value.diagnostics[0].code == "E085"
    assert write_layout(artifact, Path("shared"), "1.0.0")


OWN, OCI = "dev.recipelang", "org.opencontainers.image"


@pytest.mark.parametrize(
    "key",
    [f"{OCI}.title", f"{OCI}.version", f"{OCI}.authors", f"{OCI}.licenses", f"{OWN}.task", f"{OWN}.method"],
)
def test_a_manifest_that_tells_something_else_than_its_files(artifact: Artifact, key: str):
    write_layout(changed(artifact, lambda f: f["annotations"].update({key: "9.9.9"})), Path("shared"), "1.0.0")
    assert command("pull", "shared", "-o", "got").codes == ["E126"]
    assert command("verify", "shared").code == 5
    assert not Path("got").exists()


def test_a_size_in_the_manifest_that_a_file_does_not_have(artifact: Artifact):
    write_layout(changed(artifact, lambda f: f["layers"][0].update(size=3)), Path("shared"), "1.0.0")
    ended = command("pull", "shared", "-o", "got")
    assert ended.codes == ["E125"]
    assert "expected 3 bytes, found more" in ended.err


@pytest.mark.parametrize("title", ["conftest.py", "other.recipe", "lib/squad/gmp-90.recipe"])
def test_a_file_that_the_recipe_does_not_use(artifact: Artifact, title: str):
    more = {**artifact.manifest.layers[0].form(), "annotations": {TITLE: title}}
    write_layout(changed(artifact, lambda f: f["layers"].append(more)), Path("shared"), "1.0.0")
    ended = command("pull", "shared", "-o", "got")
    assert ended.codes == ["E122"]
    assert f"it contains `{title}`" in ended.err
    assert not Path("got").exists()
