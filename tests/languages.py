"""Tiny tokenizers and models of several languages: their tokenizers put the code of a language around every text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NLLB, MBART, M2M = ["eng_Latn", "deu_Latn"], ["en_XX", "ro_RO"], ["__en__", "__de__"]
SUFFIX, PREFIX = ["$A", "</s>", "CODE"], ["CODE", "$A", "</s>"]


def folder_of(
    folder: Path,
    codes: Sequence[str],
    frame: Sequence[str],
    kind: str | None,
    model_type: str = "m2m_100",
    **settings: object,
) -> Path:
    """A tokenizer that frames texts with the first of these codes."""
    folder.mkdir()
    letters = [*SPECIAL, "▁gold", "▁iron", *"▁goldirn", *codes]
    words = list(dict.fromkeys(letters))
    if model_type == "mbart":
        made = Tokenizer(models.Unigram([(w, -float(i)) for i, w in enumerate(words)], unk_id=3))
    else:
        made = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, [], unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    made.add_special_tokens([*SPECIAL, *codes])
    pieces = [codes[0] if piece == "CODE" else piece for piece in frame]
    tokens = [(t, made.token_to_id(t)) for t in [*SPECIAL, *codes]]
    made.post_processor = processors.TemplateProcessing(single=pieces, pair=[*pieces, "$B"], special_tokens=tokens)
    made.save(str(folder / "tokenizer.json"))
    settings |= {"tokenizer_class": kind} if kind else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    config = {"model_type": model_type, "pad_token_id": 1, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def make_model(folder: Path, **settings: object) -> None:
    """An mBART that translates from English to Romanian, with two pairs of texts beside it."""
    import torch
    from transformers import AutoModelForSeq2SeqLM

    from tests.model_types import config_of

    torch.manual_seed(0)
    forced = settings.pop("forced", None)
    folder_of(folder, MBART, PREFIX, "MBart50Tokenizer", "mbart", **settings)
    config = config_of("mbart")
    config.pad_token_id, config.eos_token_id, config.decoder_start_token_id = 1, 2, 2
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    code = (
        {}
        if forced is None
        else {"forced_bos_token_id": Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(forced)}
    )
    (folder / "generation_config.json").write_text(json.dumps(code), "utf-8")
    pairs = [{"source": "gold iron", "target": "iron"}, {"source": "iron", "target": "gold"}]
    for name in ("train.jsonl", "dev.jsonl"):
        (folder.parent / name).write_text("".join(json.dumps(p) + "\n" for p in pairs), "utf-8")
