"""The Hub, through its own client, against a small server on loopback; the command in a process of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..cli.command import command, environment, process
from .hub_server import Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close()


def told(hub: Hub, here: Path, *arguments: object, offline: bool = False) -> tuple[int, str, str]:
    """The address of the Hub is read when its client is imported, so this needs a process."""
    env = environment(
        HF_ENDPOINT=hub.address, HF_HOME=str(here / "hf"), HF_HUB_OFFLINE="1" if offline else "0", HF_TOKEN="hf_test",
        HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
    )  # fmt: skip
    running = process(*arguments, env=env, cwd=here, stdin=subprocess.DEVNULL)
    out, err = running.communicate(timeout=90)
    return running.returncode, out, err


def test_a_recipe_goes_through_the_hub_with_the_same_digests(published: Path, hub: Hub):
    folder = command("push", "tiny.recipe", "shared").out
    code, out, err = told(hub, published, "push", "tiny.recipe", "hf://me/tiny")
    assert code == 0, err
    assert "hf://me/tiny@1.0.0" in out
    files = hub.repos["me/tiny"][-1][1]
    assert files["recipes/tiny.recipe"] == (published / "tiny.recipe").read_bytes()
    manifest = "sha256:" + hashlib.sha256(files["recipes/.recipelang/manifest.json"]).hexdigest()
    assert manifest in folder
    assert told(hub, published, "push", "tiny.recipe", "hf://me/tiny")[1].startswith("already there")
    code, out, err = told(hub, published, "pull", "hf://me/tiny@1.0.0", "-o", "got")
    assert code == 0, err
    assert manifest in out
    asked = len(hub.asked)
    assert told(hub, published, "validate", "hf://me/tiny@1.0.0", offline=True)[0] == 0
    assert len(hub.asked) == asked, "reading asks nobody"


def test_a_version_on_the_hub_is_published_once(published: Path, hub: Hub):
    assert told(hub, published, "push", "tiny.recipe", "hf://me/tiny")[0] == 0
    path = published / "tiny.recipe"
    path.write_text(path.read_text("utf-8").replace("seed", "seed") + "# more\n", "utf-8")
    code, _, err = told(hub, published, "push", "tiny.recipe", "hf://me/tiny")
    assert (code, "error[E124]" in err) == (1, True)


def test_files_exchanged_on_the_hub(published: Path, hub: Hub):
    assert told(hub, published, "push", "tiny.recipe", "hf://me/tiny")[0] == 0
    hub.commit("me/tiny", {"recipes/tiny.recipe": b'recipe 1 "other"\n'})
    code, _, err = told(hub, published, "pull", "hf://me/tiny", "-o", "got")
    assert (code, "error[E125]" in err) == (1, True)
    assert not (published / "got").exists()


def test_a_lock_pins_models_and_data_of_the_hub(published: Path, hub: Hub):
    first = hub.commit("owner/bert", {"config.json": b"{}", "model.safetensors": b"weights"})
    data = hub.commit("owner/squad", {"train.json": b"[]"})
    path = published / "tiny.recipe"
    text = path.read_text("utf-8").replace('base = "model"', 'base = "hf://owner/bert"')
    path.write_text(
        text.replace('train = "train.json", validation = "dev.json"', 'source = "hf://owner/squad"'), "utf-8"
    )
    code, _, err = told(hub, published, "lock", "tiny.recipe")
    assert code == 0, err
    refs = json.loads((published / "tiny.recipe.lock").read_text())["refs"]
    assert refs["hf://owner/bert"]["revision"] == first
    assert refs["hf://owner/bert"]["files"]["model.safetensors"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert refs["hf://owner/squad"]["revision"] == data
    second = hub.commit("owner/bert", {"model.safetensors": b"others"})
    assert told(hub, published, "lock", "tiny.recipe")[1].count("unchanged") == 1
    assert told(hub, published, "lock", "tiny.recipe", "--upgrade", "hf://owner/bert")[0] == 0
    assert json.loads((published / "tiny.recipe.lock").read_text())["refs"]["hf://owner/bert"]["revision"] == second


@pytest.mark.parametrize(("name", "code"), [("hf://me/nothing", "E130"), ("hf://me/tiny@9.9.9", "E130")])
def test_what_the_hub_does_not_have(published: Path, hub: Hub, name: str, code: str):
    hub.commit("me/tiny", {"README.md": b""})
    assert f"error[{code}]" in told(hub, published, "pull", name)[2]
