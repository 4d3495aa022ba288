"""`recipelang index`: what a folder, a registry and the Hub hold, told to people and to programs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipelang.artifact.contents import Artifact
from recipelang.artifact.referrers import STATEMENT, Referrer

from ..cli.command import command
from .hub_server import Hub
from .test_hub import told


def recipes(out: str) -> list[dict]:
    return json.loads(out)["recipes"]


def test_a_folder_of_recipes_is_listed_with_what_each_says(published: Path):
    (published / "deep").mkdir()
    (published / "recipelang.toml").write_text("")  # holds both folders
    (published / "deep" / "other.recipe").write_text(
        'recipe 1 "other"\nextends "../tiny.recipe"\n\n## Another one.\nmeta { license = "MIT", tags = ["small"] }\n'
    )
    ended = command("index", ".", "--json")
    assert ended.code == 0, ended.err
    first, second = sorted(recipes(ended.out), key=lambda r: r["where"])
    assert (first["where"], first["name"], first["licence"]) == ("deep/other.recipe", "other", "MIT")
    assert first["summary"] == "Another one" and first["tags"] == ["small"]
    assert (second["where"], second["version"], second["authors"]) == ("tiny.recipe", "1.0.0", ["A. Author"])
    assert second["task"] == "question_answering" and second["methods"] == ["magnitude"]
    assert second["targets"] == ["@linear & @encoder: 90%"] and second["measured"] == []
    assert second["spec"] == f"sha256:{command('digest', 'tiny.recipe', '--only', 'spec').out.strip()}"
    assert any(claim.startswith("expect sparsity(") for claim in second["claims"])


def test_a_page_can_be_searched_and_runs_nothing_but_its_own_search(published: Path):
    assert command("index", ".", "-o", "public", "--title", "Ours & <theirs>").code == 0
    page = (published / "public" / "index.html").read_text("utf-8")
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "http" not in script
    assert "recipelang run tiny.recipe" in page and "extends &quot;tiny.recipe&quot;" in page
    assert recipes((published / "public" / "index.json").read_text("utf-8"))[0]["where"] == "tiny.recipe"


def test_what_a_recipe_says_is_text_on_the_page(published: Path):
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace("A. Author", "<script>alert(1)</script>"), "utf-8")
    assert command("index", ".", "-o", "public").code == 0
    page = (published / "public" / "index.html").read_text("utf-8")
    assert page.count("<script>") == 1 and "&lt;script&gt;alert(1)" in page


def test_a_folder_that_push_made_is_listed_by_version_with_its_digests(published: Path):
    assert command("push", "tiny.recipe", "shared").code == 0
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace("1.0.0", "1.1.0"), "utf-8")
    pushed = command("push", "tiny.recipe", "shared").out
    ended = command("index", "shared", "--json")
    assert ended.code == 0, ended.err
    found = recipes(ended.out)
    assert [r["where"] for r in found] == ["shared:1.0.0", "shared:1.1.0"]
    assert f"shared@{found[1]['manifest']}" in pushed


def test_what_a_run_measured_is_told_with_who_says_so(published: Path, artifact: Artifact, monkeypatch):
    from recipelang.artifact.places import push
    from recipelang.provenance import catalog

    push(artifact, "shared", said=(Referrer(STATEMENT, b"{}"),))
    claim = {"kind": "expect", "text": "dev.f1 >= 50%", "measured": "61.0%", "met": True}

    class Said:
        digests = {"spec": artifact.spec}
        predicate = {"claims": [claim]}

    monkeypatch.setattr(catalog, "parse_statement", lambda data: Said)
    monkeypatch.setattr(catalog, "unbelievable", lambda said, recipe: "")
    (found,) = recipes(command("index", "shared", "--json").out)
    (told,) = found["measured"]
    assert told == {
        "claim": "expect dev.f1 >= 50%",
        "measured": "61.0%",
        "met": True,
        "by": "a run of its own, not signed",
    }
    monkeypatch.setattr(catalog, "unbelievable", lambda said, recipe: "the run did not finish")
    assert recipes(command("index", "shared", "--json").out)[0]["measured"] == []


def test_a_registry_is_listed_whole_by_a_beginning_or_one_repository(published: Path, registry):
    for name in ("team/one", "team/two", "others/three"):
        assert command("push", "tiny.recipe", f"oci://{registry.host}/{name}", "--allow-private").code == 0
    here = f"oci://{registry.host}"

    def listed(place: str) -> list[str]:
        ended = command("index", place, "--allow-private", "--json")
        assert ended.code == 0, ended.err
        return [r["where"].removeprefix(f"{here}/") for r in recipes(ended.out)]

    assert listed(f"{here}/team") == ["team/one:1.0.0", "team/two:1.0.0"]
    assert listed(f"{here}/team/one") == listed(f"{here}/team/one:1.0.0") == ["team/one:1.0.0"]
    assert {"team/one:1.0.0", "others/three:1.0.0"} <= set(listed(here))
    ended = command("index", f"{here}/nothing", "--allow-private")
    assert (ended.code, ended.codes) == (1, ["E130"])
    assert command("index", f"{here}/team").codes == ["E127"]  # a private network, unless it is allowed


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close()


def test_recipes_of_an_owner_on_the_hub_are_listed_and_models_are_not(published: Path, hub: Hub):
    assert told(hub, published, "push", "tiny.recipe", "hf://me/tiny")[0] == 0
    hub.commit("me/model", {"config.json": b"{}"})
    code, out, err = told(hub, published, "index", "hf://me", "--json")
    assert code == 0, err
    assert [r["where"] for r in recipes(out)] == ["hf://me/tiny"]
    code, _, err = told(hub, published, "index", "hf://me/model")
    assert code == 1 and "error[E130]" in err


@pytest.mark.parametrize(
    ("place", "code"),
    [("nowhere", "E046"), ("empty", "E130"), ("broken", "E010"), ("oci://user:secret@host/x", "E121")],
)
def test_a_place_without_recipes_or_with_a_wrong_one_is_told_and_nothing_is_written(published: Path, place, code):
    (published / "empty").mkdir()
    (published / "broken").mkdir()
    (published / "broken" / "a.recipe").write_text('recipe 1 "a"\nmodel { base = }\n')
    ended = command("index", place, "-o", "public")
    assert ended.code == 1 and ended.codes[0][0] == "E" and (code == "E010" or ended.codes == [code]), ended.err
    assert not (published / "public").exists() and "secret" not in ended.err
