"""Tokenizers and models that fit: what is read from `vocab.txt`, and what lies beyond a model's tables."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from recipelang.planning.probe import encoding_fails, fitted
from recipelang.source import RecipeError
from recipelang.tasks import masked_lm, question_answering, reading
from recipelang.tasks.encoding import load_reader, pad_id, rows_of
from recipelang.tasks.squad_format import Example
from tests.model_folders import configure, make_folder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [
    *SPECIAL,
    "a",
    "b",
    "é",
    "e",
    "E",
    "É",
    "##e",
    "##é",
    "hello",
    "Hello",
    "中",
    "<",
    ">",
    "tag",
    "\u2028",
    "x",
]
TEXTS = ["Hello hello É é e", "aé [MASK] b", "中中 a", "hello<tag>b x <t> x", "\u2028 a", "", "  a  "]


def vocabulary_folder(path, settings=None, added=None, vocabulary=VOCABULARY, ending="\n"):
    path.mkdir()
    (path / "vocab.txt").write_bytes("".join(w + ending for w in vocabulary).encode())
    if settings is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(settings))
    if added is not None:
        (path / "added_tokens.json").write_text(json.dumps(added))
    return path


def token(content, **flags):
    usual = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": False}
    return {"content": content, **usual, **flags}


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
        {"cls_token": "<", "sep_token": ">"},
        {"added_tokens_decoder": {str(len(VOCABULARY)): token("<tag>")}},
        {
            "added_tokens_decoder": {
                str(len(VOCABULARY) + i): token(t, special=i == 0) for i, t in enumerate(["<t>", "lo"])
            }
        },
        {"added_tokens_decoder": {"13": token("hello", rstrip=True)}},
    ],
    ids=str,
)
def test_vocabulary_is_read_as_transformers_reads_it(tmp_path, settings):
    from transformers import BertTokenizer

    folder = vocabulary_folder(tmp_path / "t", settings)
    ours, theirs = reading.load_tokenizer(folder), BertTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"]
        assert ours.encode(text, "b").type_ids == theirs(text, "b")["token_type_ids"]


def test_added_tokens_of_their_own_file_are_whole(tmp_path):
    folder = vocabulary_folder(tmp_path / "t", added={"<tag>": len(VOCABULARY)})
    assert len(VOCABULARY) in reading.load_tokenizer(folder).encode("hello<tag>b").ids


def test_lines_of_windows(tmp_path):
    folder = vocabulary_folder(tmp_path / "t", ending="\r\n")
    assert reading.load_tokenizer(folder).encode("hello").ids == [2, 13, 3]


@pytest.mark.parametrize(
    "settings, added, vocabulary, said",
    [
        ({"do_lower_case": "no"}, None, VOCABULARY, "do_lower_case"),
        ({"strip_accents": 1}, None, VOCABULARY, "strip_accents"),
        ({"cls_token": 5}, None, VOCABULARY, "cls_token"),
        ({"cls_token": "<cls>"}, None, VOCABULARY, "<cls>"),
        (None, None, VOCABULARY[4:], "unk token"),
        ({"added_tokens_decoder": []}, None, VOCABULARY, "added_tokens_decoder"),
        ({"added_tokens_decoder": {"x": token("y")}}, None, VOCABULARY, "added_tokens_decoder"),
        ({"added_tokens_decoder": {"99": {"content": 5}}}, None, VOCABULARY, "added_tokens_decoder"),
        ({"added_tokens_decoder": {"99": token("y", special="no")}}, None, VOCABULARY, "added_tokens_decoder"),
        ({"added_tokens_decoder": {"99": token("y")}}, None, VOCABULARY, "99"),
        (None, {"<t>": "21"}, VOCABULARY, "<t>"),
        (None, {"<t>": -1}, VOCABULARY, "<t>"),
    ],
)
def test_files_that_describe_no_tokenizer(tmp_path, settings, added, vocabulary, said):
    with pytest.raises(RecipeError) as refused:
        reading.load_tokenizer(vocabulary_folder(tmp_path / "t", settings, added, vocabulary))
    (d,) = refused.value.diagnostics
    assert d.code == "E189" and said in " ".join((d.message, *d.notes))


def test_tokenizers_that_cannot_be_read(tmp_path):
    def code(name, make):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        make(folder / name)
        with pytest.raises(RecipeError) as refused:
            reading.load_tokenizer(folder)
        return refused.value.diagnostics[0].code

    assert code("tokenizer.json", os.mkfifo) == "E076"
    assert code("vocab.txt", os.mkfifo) == "E076"
    assert code("tokenizer.json", lambda p: p.write_text("{}")) == "E076"
    assert code("tokenizer.json", lambda p: p.write_text("[" * 100_000)) == "E076"
    assert code("vocab.txt", lambda p: p.write_bytes(b"\xff\xfe")) == "E076"
    far = {
        "version": "1.0",
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 1, "far": 2**32 - 1}, "unk_token": "[UNK]"},
    }
    assert code("tokenizer.json", lambda p: p.write_text(json.dumps(far))) == "E189"


# ------------------------------------------------------------------------------- the model's tables
def words(folder, vocabulary, *, second=1):
    """A tokenizer of whole words, whose second texts are of kind `second`."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "[CLS]" in vocabulary:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair=f"[CLS] $A [SEP] $B:{second} [SEP]:{second}",
            special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
        )
    tokenizer.save(str(folder / "tokenizer.json"))


def numbered(*names, at=5):
    return {w: i for i, w in enumerate(SPECIAL)} | {w: at + i for i, w in enumerate(names)}


def rows(folder, texts, max_length=16):
    reader = load_reader(folder)
    return rows_of(reader, texts, [0] * len(texts), max_length), reader


def refused(features, reader, folder):
    with pytest.raises(RecipeError) as refusal:
        fitted(features, reader, folder, "sequence_classification")
    (d,) = refusal.value.diagnostics
    return d.code, " ".join((d.message, *d.notes))


@pytest.fixture
def bert(tmp_path):
    return make_folder(tmp_path / "m", "bert", "sequence_classification")


def test_token_beyond_the_table(bert):
    words(bert, numbered("near", at=23) | {"<tag>": 24})
    assert fitted(*rows(bert, ["near near"]), bert, "sequence_classification")
    assert refused(*rows(bert, ["near", "<tag>"]), bert) == (
        "E188",
        "a token of this data is outside the embedding table the tokenizer assigns `<tag>` the id 24"
        " the model's embedding table has rows 0 to 23",
    )


def test_kind_of_text_beyond_the_table(bert):
    words(bert, numbered("a"), second=2)
    assert fitted(*rows(bert, ["a"]), bert, "sequence_classification")
    assert refused(*rows(bert, ["a", ("a", "a")]), bert)[0] == "E188"


def test_one_kind_of_text_takes_pairs(bert):
    """A table of one row: the second text of a pair is of the only kind there is."""
    words(bert, numbered("a"))
    configure(bert, type_vocab_size=1)
    features, _ = rows(bert, [("a", "a")])
    assert features.types is None
    tokenizer = reading.load_tokenizer(bert)
    made = question_answering.featurize([Example("1", "a a", "a", ("a",), (0,))], tokenizer, 16, 4)
    assert made.types.any()
    assert not fitted(made, tokenizer, bert, "question_answering").batch([0])["token_type_ids"].any()


@pytest.mark.parametrize("limit", [9, 11, 16])
def test_batch_is_never_wider_than_the_model(bert, limit):
    words(bert, numbered("a"))
    configure(bert, max_position_embeddings=limit)
    features, reader = rows(bert, ["a", "a " * 30], limit)
    assert fitted(features, reader, bert, "sequence_classification").batch([1])["input_ids"].shape == (1, limit)
    assert features.batch([0])["input_ids"].shape == (1, 8)


def test_wider_batch_is_refused(bert):
    words(bert, numbered("a"))
    assert refused(*rows(bert, ["a " * 30], 24), bert)[0] == "E188"


def test_masked_words_are_drawn_from_the_table(bert):
    words(bert, numbered("a", "b") | {"far": 30})
    reader = masked_lm.load_tokenizer(bert)
    blocks = masked_lm.featurize(["a b " * 20], reader, 16, 0)
    assert fitted(blocks, reader, bert, "masked_lm") is blocks
    assert refused(replace(blocks, mask=24, vocabulary=8, special=()), reader, bert)[0] == "E188"
    assert refused(replace(blocks, mask=4, vocabulary=25, special=()), reader, bert)[0] == "E188"


@pytest.mark.parametrize(
    "config, expected",
    [
        ({"pad_token_id": 3}, 3),
        ({"pad_token_id": -1}, 0),
        ({"pad_token_id": -1, "eos_token_id": 7}, 0),
        ({"pad_token_id": None, "model_type": "roberta"}, 0),
        ({"model_type": "roberta"}, 1),
        ({"eos_token_id": []}, 0),
    ],
)
def test_padding_is_a_token(config, expected):
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL)}, unk_token="[UNK]"))
    assert pad_id(config, tokenizer) == expected


@pytest.mark.parametrize("end, expected", [([], 0), ([-1, 3], 3), (-1, 0), (2, 2)])
def test_padding_by_the_end_of_a_text(end, expected):
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    assert pad_id({"eos_token_id": end, "pad_token_id": -1}, tokenizer) == expected


def test_text_that_the_tokenizer_cannot_encode(bert):
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="[UNK]"))
    with pytest.raises(RecipeError) as refusal, encoding_fails(bert):
        tokenizer.encode("unknown")
    assert refusal.value.diagnostics[0].code == "E189"
    assert np.array_equal(tokenizer.encode("a").ids, [0])
