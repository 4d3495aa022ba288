"""Codes of languages around sources and targets, against the tokenizers of transformers."""

import json

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from recipelang.engine.writing import write
from recipelang.source import RecipeError
from recipelang.tasks import text_to_text as task
from recipelang.tasks.languages import framed, languages_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.reading import load_tokenizer
from tests.languages import M2M, MBART, NLLB, PREFIX, SUFFIX, folder_of
from tests.model_types import config_of

ROWS = [{"source": "gold iron", "target": "iron"}, {"source": "iron", "target": "gold iron gold"}]


def rows_of(folder, source=None, target=None):
    found = languages_of(folder, load_tokenizer(folder))
    source = found.code(source or found.source)
    frames = {"source": found.around(source), "target": found.around(found.code(target or found.target or source))}
    (folder / "d.json").write_text(json.dumps(ROWS), "utf-8")
    decided = Meaning(columns={"source": "source", "target": "target"}, frames=frames)
    return task.featurize(
        task.TASK.open_split(str(folder / "d.json"), "train", None, None, decided), task.load_tokenizer(folder), 32, 0
    )


@pytest.mark.parametrize(
    ("codes", "frame", "kind", "model_type", "settings"),
    [
        (NLLB, SUFFIX, "NllbTokenizer", "m2m_100", {}),  # as published files have it: transformers moves the code
        (NLLB, SUFFIX, "NllbTokenizerFast", "m2m_100", {"src_lang": "deu_Latn", "tgt_lang": "eng_Latn"}),
        (NLLB, PREFIX, "NllbTokenizer", "m2m_100", {"tgt_lang": "deu_Latn", "legacy_behaviour": True}),
        (MBART, SUFFIX, "MBartTokenizer", "mbart", {}),
        (MBART, SUFFIX, None, "mbart", {"src_lang": "en_XX", "tgt_lang": "ro_RO"}),
        (MBART, PREFIX, "MBart50TokenizerFast", "mbart", {"src_lang": "ro_RO", "tgt_lang": "en_XX"}),
        (M2M, PREFIX, "PreTrainedTokenizerFast", "m2m_100", {}),
    ],
)
def test_both_texts_are_framed_as_by_the_tokenizer_of_transformers(tmp_path, codes, frame, kind, model_type, settings):
    folder = folder_of(tmp_path / "m", codes, frame, kind, model_type, **settings)
    rows, theirs = rows_of(folder), AutoTokenizer.from_pretrained(folder)
    batch = rows.batch(range(2))
    for i, row in enumerate(ROWS):
        expected = theirs(row["source"], text_target=row["target"])
        assert batch["input_ids"][i][batch["attention_mask"][i] > 0].tolist() == expected["input_ids"]
        assert batch["labels"][i][batch["labels"][i] >= 0].tolist() == expected["labels"]
    assert rows.tokenizer.encode("gold").ids == load_tokenizer(folder).encode("gold").ids  # the file's own, as before


def test_codes_need_no_underscores(tmp_path):
    folder = folder_of(tmp_path / "m", M2M, PREFIX, "", src_lang="de")
    tokenizer = load_tokenizer(folder)
    made = languages_of(folder, tokenizer)
    assert (made.source, made.target, set(made.known)) == ("__de__", None, set(M2M))
    assert made.code("en") == made.code("__en__") == "__en__"
    rows = rows_of(folder, "en", "de")
    assert rows.opening == (tokenizer.token_to_id("__de__"),)
    assert rows.batch([0])["input_ids"][0, 0] == tokenizer.token_to_id("__en__")


@pytest.mark.parametrize(
    ("source", "settings", "words"),
    [
        ("deu_Latm", {}, ("no language `deu_Latm`", "did you mean `deu_Latn`")),
        ("gold", {}, ("no language `gold`", "`eng_Latn`")),  # a word of the vocabulary is no language
        (None, {"tgt_lang": "fra_Latn"}, ("no language `fra_Latn`",)),
    ],
)
def test_a_language_that_the_tokenizer_lacks_is_named(tmp_path, source, settings, words):
    folder = folder_of(tmp_path / "m", NLLB, PREFIX, "NllbTokenizer", **settings)
    with pytest.raises(RecipeError) as error:
        languages_of(folder, load_tokenizer(folder)).code(source)
    (found,) = error.value.diagnostics
    said = " ".join((found.message, *found.help, *found.notes))
    assert found.code == "E197" and all(word in said for word in words), said


def test_a_tokenizer_without_codes_names_no_language_and_a_wrong_folder_is_coded(tmp_path):
    folder = folder_of(tmp_path / "m", NLLB, ["<s>", "$A", "</s>"], "BartTokenizer")
    tokenizer = load_tokenizer(folder)
    assert languages_of(folder, tokenizer) is None
    with pytest.raises(RecipeError, match="no token `fra_Latn`"):
        framed(tokenizer, ("fra_Latn", "$A"))
    (folder / "tokenizer_config.json").write_text('{"src_lang": 3}', "utf-8")
    with pytest.raises(RecipeError) as error:
        languages_of(folder, tokenizer)
    assert error.value.diagnostics[0].code == "E189" and "src_lang" in str(error.value.diagnostics[0].notes)


@torch.no_grad()
def test_a_model_writes_behind_the_code_of_the_targets_language():
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config_of("m2m_100")).eval()
    for matrix in (p for p in model.parameters() if p.dim() > 1):
        matrix.normal_(std=0.4)  # small ones repeat the token they read
    source, labels = torch.randint(5, 60, (2, 6)), torch.tensor([[9, 20, 2], [9, 30, 2]])
    batch = {"input_ids": source, "attention_mask": torch.ones_like(source), "labels": labels}
    for opening in ((9,), (11,), ()):
        found = write(model, batch, 4 + len(opening), opening)
        given = torch.tensor([[model.config.decoder_start_token_id, *opening]] * 2)
        for place in range(found.shape[1]):
            token = model(input_ids=source, decoder_input_ids=given, use_cache=False).logits[:, -1].argmax(-1)
            ended = (torch.cat([given[:, 1 + len(opening) :], token[:, None]], 1) == 2).any(1)
            assert torch.where(ended, torch.tensor(-1), token).tolist() == found[:, place].tolist()
            given = torch.cat([given, token[:, None]], 1)
        assert found.shape[1] > 1
