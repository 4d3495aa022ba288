"""What a lock holds of things that nothing uses, where locks are written, and registries on this machine."""

import json
from pathlib import Path

import pytest

from recipelang.loading.files import library
from recipelang.loading.locking import check_new, no_place, settle
from recipelang.loading.read import Around, read_recipe
from recipelang.source import Diagnostics

from ..cli.command import command

UNUSED = ('source = "hf://example/none", train', 'validation = "dev.json" }\ndata spare { source = "hf://example/none"')


@pytest.mark.parametrize("new", UNUSED, ids=["every split is a file", "nothing names the block"])
def test_a_source_that_nobody_uses_is_left_out_of_the_lock_with_a_warning(contents, edit, new):
    edit("train" if "train" in new else 'validation = "dev.json"', new)
    ended = command("lock", "tiny.recipe")
    assert (ended.code, ended.codes) == (0, ["W163"])
    assert "hf://example/none" not in json.loads(Path("tiny.recipe.lock").read_text())["refs"]
    assert command("lock", "tiny.recipe").code == 0


def test_a_source_that_a_split_is_taken_from_must_be_locked(contents, edit):
    edit('validation = "dev.json"', 'source = "hf://example/none"')
    ended = command("lock", "tiny.recipe")
    assert ended.code == 1
    assert not Path("tiny.recipe.lock").exists()


def settled(file: str):
    return settle(file, read_recipe(file, Around()), Around(), locked=False, found=Diagnostics())


def test_nothing_is_written_beside_a_read_only_recipe(contents):
    recipe = Path("tiny.recipe")
    recipe.chmod(0o444)
    ended = command("lock", "tiny.recipe")
    assert (ended.code, ended.codes) == (1, ["E132"])
    told = check_new(settled("tiny.recipe"))
    assert [d.code for d in told] == ["W140"]
    assert [p.name for p in Path().glob("*.lock")] == []
    recipe.chmod(0o644)
    assert list(check_new(settled("tiny.recipe"))) == []
    assert Path("tiny.recipe.lock").is_file()


def test_nothing_is_written_beside_a_recipe_of_the_library_whatever_path_leads_there(contents):
    bundled = next(library().rglob("*.recipe"))
    Path("linked").symlink_to(library())
    for file in (str(bundled), f"linked/{bundled.relative_to(library())}"):
        ended = command("lock", file)
        assert (ended.code, ended.codes) == (1, ["E132"])
        assert "installed library" in no_place(file)
    assert not bundled.with_name(bundled.name + ".lock").exists()


def test_inspect_asks_a_registry_of_this_machine_where_that_is_allowed(published, registry, monkeypatch):
    reference = f"oci://{registry.host}/looked-at/tiny:1.0.0"
    command("push", "tiny.recipe", reference, "--allow-private")
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    assert command("inspect", reference).codes == ["E047"]
    ended = command("inspect", reference, "--allow-private", "--format", "json")
    assert json.loads(ended.out)["annotations"]["org.opencontainers.image.authors"] == "A. Author"


def test_push_locks_what_a_registry_of_this_machine_has_where_that_is_allowed(published, registry):
    Path("values.recipe").write_text('recipe 1 "values"\nmeta { version = "1.0.0" }\nlet share = 80%\n')
    shared = f"oci://{registry.host}/values/shared:1.0.0"
    assert command("push", "values.recipe", shared, "--allow-private").code == 0
    text = Path("tiny.recipe").read_text("utf-8")
    head, _, rest = text.partition("\n")
    Path("tiny.recipe").write_text(f'{head}\nuse "{shared}" as shared\nlet mine = shared.share\n{rest}', "utf-8")
    target = f"oci://{registry.host}/children/tiny"
    refused = command("push", "tiny.recipe", target)
    assert (refused.code, "--allow-private" in refused.err) == (1, True)
    assert command("push", "tiny.recipe", target, "--allow-private").code == 0
