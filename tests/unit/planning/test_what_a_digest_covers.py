"""Whatever of a model folder changes how texts become numbers changes its digest as well, so that `resume` sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipelang.planning.facts import model_digest
from recipelang.source import RecipeError
from recipelang.tasks import task_of
from tests.conftest import make_model

TEXT = "the Tower [MASK] of é <x> is tall"
LOWER = {"do_lower_case": False, "strip_accents": False, "unk_token": "[MASK]", "model_max_length": 4}
#: each beside a `tokenizer.json`, or beside a `vocab.txt` alone
FILES = {
    "tokenizer_config.json": json.dumps({**LOWER, "added_tokens_decoder": {"5": {"content": "of", "special": True}}}),
    "special_tokens_map.json": json.dumps({"unk_token": "tall", "cls_token": "tower"}),
    "added_tokens.json": json.dumps({"of": 5}),
    "normalizer.json": json.dumps({"tall": "tower"}),
    "merges.txt": "t a\n",
    "vocab.json": json.dumps({"tall": 7}),
    "tokenizer.model": "x",
    "chat_template.jinja": "{{ messages }}",
    "chat_template.json": json.dumps({"chat_template": "x"}),
    "generation_config.json": json.dumps({"max_length": 1}),
    "preprocessor_config.json": json.dumps({"do_lower_case": True}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    whole = make_model(tmp_path_factory.mktemp("whole") / "model")
    alone = make_model(tmp_path_factory.mktemp("alone") / "model")
    words = json.loads((alone / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    names = sorted(words, key=words.__getitem__)
    names[-1] = "[MASK]"
    (alone / "vocab.txt").write_text("\n".join(names) + "\n", "utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (alone / name).unlink(missing_ok=True)
    return {"tokenizer.json": whole, "vocab.txt": alone}


def seen(folder: Path) -> tuple[str, object]:
    """The digest, and what becomes of a text."""
    try:
        ids: object = task_of("question_answering").load_tokenizer(folder).encode(TEXT).ids
    except RecipeError as error:
        ids = error.diagnostics[0].code
    return model_digest(folder), ids


@pytest.mark.parametrize("layout", ["tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_acts_on_numbers_is_in_the_digest(layout, name, folders):
    folder = folders[layout]
    before = (folder / name).read_bytes() if (folder / name).exists() else None
    digest, ids = seen(folder)
    (folder / name).write_text(FILES[name], "utf-8")
    try:
        after, now = seen(folder)
    finally:
        (folder / name).unlink() if before is None else (folder / name).write_bytes(before)
    assert now == ids or after != digest


@pytest.mark.parametrize("layout", ["tokenizer.json", "vocab.txt"])
def test_the_vocabulary_is_in_the_digest(layout, folders):
    folder = folders[layout]
    digest, ids = seen(folder)
    before = (folder / layout).read_text("utf-8")
    (folder / layout).write_text(before.replace('"of"', '"off"').replace("\nof\n", "\noff\n"), "utf-8")
    after, now = seen(folder)
    (folder / layout).write_text(before, "utf-8")
    assert now != ids and after != digest
