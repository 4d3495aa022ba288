"""Rules of a tokenizer's file: those in use pass, those that take all memory or time are refused before any text."""

import base64
import json
import os
import struct

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers as n, pre_tokenizers as p, processors

from recipelang.source import RecipeError
from recipelang.tasks import reading
from recipelang.tasks.tokenizer_rules import check_rules, searches_without_end

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def table(*entries: str) -> bytes:
    """A compiled table of characters with an empty trie."""
    return struct.pack("<I", 0) + b"".join(e.encode() + b"\0" for e in entries)


def precompiled(*entries: str) -> dict:  # type: ignore[type-arg]
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table(*entries)).decode()}


def tokenizer(normalizer=None, pre=None, post=None, model=None) -> Tokenizer:
    made = Tokenizer(model or models.WordLevel({"a": 0, "[S]": 1}, unk_token="a"))
    for name, part in (("normalizer", normalizer), ("pre_tokenizer", pre), ("post_processor", post)):
        if part is not None:
            setattr(made, name, part)
    return made


KNOWN = {
    "BERT": {"normalizer": n.BertNormalizer(), "pre": p.BertPreTokenizer(),
             "post": processors.BertProcessing(("[S]", 1), ("[S]", 1))},
    "GPT-2": {"pre": p.ByteLevel(), "post": processors.ByteLevel()},
    "RoBERTa": {"pre": p.ByteLevel(), "post": processors.RobertaProcessing(("[S]", 1), ("[S]", 1))},
    "Llama": {"normalizer": n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]),
              "post": processors.TemplateProcessing(single="[S] $A", special_tokens=[("[S]", 1)])},
    "Llama 3": {"pre": p.Sequence([p.Split(Regex(GPT4), "isolated"), p.ByteLevel(use_regex=False)])},
    "Qwen": {"normalizer": n.NFC(), "pre": p.Sequence([p.Split(Regex(O200K), "isolated"), p.ByteLevel(use_regex=False)])},
    "CLIP": {"normalizer": n.Sequence([n.NFC(), n.Replace(Regex(r"\s+"), " "), n.Lowercase()]),
             "pre": p.Sequence([p.Split(Regex(CLIP), "removed", invert=True), p.ByteLevel()])},
    "ALBERT": {"normalizer": n.Sequence([n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(),
                                         n.Lowercase(), n.Replace(Regex(" {2,}"), " ")]), "pre": p.Metaspace()},
}  # fmt: skip
HOSTILE = {
    "letters that double": {"normalizer": n.Sequence([n.Replace("a", "aa")] * 30)},
    "patterns that double": {"normalizer": n.Sequence([n.Replace(Regex("[a-z]"), "aa")] * 30)},
    "one long replacement": {"normalizer": n.Replace("a", "b" * 1_000)},
    "nothing that becomes something": {"normalizer": n.Replace(Regex(""), "b" * 100)},
    "bytes of bytes": {"pre": p.Sequence([p.ByteLevel(add_prefix_space=False, use_regex=False)] * 30)},
    "a long beginning": {"normalizer": n.Prepend("b" * 100_000)},
    "very many beginnings": {"normalizer": n.Sequence([n.Prepend("b")] * 1_000)},
    "a template without end": {
        "post": processors.TemplateProcessing(single="[S] " * 1_000 + "$A", special_tokens=[("[S]", 1)])
    },
    "a search without end": {"pre": p.Split(Regex("(a+)+$"), "isolated")},
    "a choice without end": {"normalizer": n.Replace(Regex("(a|aa)*b"), "")},
    "parts with a long name": {
        "model": models.WordPiece({"a": 0}, unk_token="a", continuing_subword_prefix="#" * 100_000)
    },
    "words without end": {"model": models.WordPiece({"a": 0}, unk_token="a", max_input_chars_per_word=10**9)},
}


@pytest.mark.parametrize("name", KNOWN)
def test_tokenizers_in_use_pass(name):
    check_rules(tokenizer(**KNOWN[name]), name)


@pytest.mark.parametrize("name", HOSTILE)
def test_rules_without_bounds_are_refused(name, tmp_path):
    tokenizer(**HOSTILE[name]).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(RecipeError) as refused:
        reading.load_tokenizer(tmp_path)
    assert refused.value.diagnostics[0].code == "E168"


@pytest.mark.parametrize(("tables", "sound"), [([["ffi" * 6]], True), ([["x" * 100]], False), ([["aa"]] * 30, False)])
def test_compiled_tables_are_looked_into(tables, sound, monkeypatch):
    state = {"type": "Sequence", "normalizers": [precompiled(*entries) for entries in tables]}

    class Part:
        def __getstate__(self) -> bytes:
            return json.dumps(state).encode()

    class Fake:
        normalizer, pre_tokenizer, post_processor, model = Part(), None, None, None

    if sound:
        check_rules(Fake(), "x")  # type: ignore[arg-type]
        return
    with pytest.raises(RecipeError, match="E168"):
        check_rules(Fake(), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "endless"),
    [
        ("((a)*)*", True), ("(?:a|b)+", True), ("(a+b?){2,}", True), ("((ab)+c)+", True),
        ("(ab)+", False), (r"(\+)+", False), ("([+*])+", False), ("(a+){1,3}", False), (GPT2, False), (CLIP, False),
    ],
)  # fmt: skip
def test_repetitions_of_choices_are_found(pattern, endless):
    assert searches_without_end(pattern) is endless


def test_file_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "tokenizer.json")
    with pytest.raises(RecipeError, match="E076"):
        reading.load_tokenizer(tmp_path)


def test_file_of_a_gigabyte_is_refused_unread(tmp_path):
    with open(tmp_path / "tokenizer.json", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(RecipeError, match="E076"):
        reading.load_tokenizer(tmp_path)
