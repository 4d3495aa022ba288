"""The memory that `plan` states against the peak of the run, a row a case.

    python benchmarks/memory.py [--cases NAME ...]

Every case is a model with random weights and a few steps of every stage, in a process of its own. The peak is the most
memory that was resident (on a GPU: allocated) from the start of the run, beyond what the libraries and the model's
class took before it. Pages of files count while they are mapped: weights that are used as they lie in a file are in
memory, and files that are only read through are mapped a part at a time. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGETS = "targets = @linear & @encoder, never = @embeddings | @head"
CUT = "prune weights { %s, method = %s, sparsity = cubic(20%% -> 80%%, over = 0%%..50%%, every = 1 step) }"
RATE = "learning_rate = constant(1e-5, over = start..end)"


@dataclass(frozen=True)
class Case:
    """A model's config, its task, and the body of the recipe. `width`: tokens of a row."""

    type: str
    task: str
    config: dict[str, Any]
    body: str
    width: int
    model: str = ""  # more attributes
    offload: bool = False  # with weights on disk
    teacher: dict[str, Any] | None = None  # config of a teacher in a folder of its own, of the same type
    labels: int = 2
    stored: str = ""  # the type of the weights in the files, where it is another than in memory


ENCODER = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 2048,
           "vocab_size": 8000, "max_position_embeddings": 512}  # fmt: skip
DECODER = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 1408,
           "vocab_size": 32_000, "max_position_embeddings": 512}  # fmt: skip
DEEP = DECODER | {"num_hidden_layers": 4, "hidden_size": 1024, "intermediate_size": 2816}
WIDE = DECODER | {"num_hidden_layers": 2, "hidden_size": 1024, "intermediate_size": 2816}


def trained(
    method: str = "magnitude", *, batch: int = 8, more: str = "", dense: str = "", decoder: bool = False
) -> str:
    targets = TARGETS.replace("encoder", "decoder") if decoder else TARGETS
    cut = CUT % (targets, method) if method else ""
    return f"{dense}stage sparse {{ length = 2 steps, batch = {batch}, {RATE}\n{more}\n{cut} }}\n"


def shot(method: str) -> str:
    targets = TARGETS.replace("encoder", "decoder")
    return f"stage cut {{ mode = one_shot\nprune weights {{ {targets}, method = {method}, sparsity = 50% }} }}\n"


DENSE = f"stage dense {{ length = 2 steps, batch = 8, {RATE} }}\n"
TEACH = "distill { teacher = stage.dense, hardness = 80%, temperature = 2 }"
EVALUATE = "evaluate dev { metrics = [METRIC] }\n"
METRICS = {"sequence_classification": "accuracy", "causal_lm": "perplexity", "masked_lm": "perplexity",
           "text_to_text": "rougeL"}  # fmt: skip
SMALL = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 8000,
         "max_position_embeddings": 2048}  # fmt: skip
T5 = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 4, "num_decoder_layers": 4, "num_heads": 8,
      "vocab_size": 16_000, "decoder_start_token_id": 0}  # fmt: skip
CASES: dict[str, Case] = {
    "decoder, 32,000 words": Case("llama", "causal_lm", DECODER, trained(batch=4, decoder=True), 128),
    "decoder, long texts": Case("llama", "causal_lm", DECODER, trained(batch=1, decoder=True), 512),
    "decoder, evaluated": Case("llama", "causal_lm", DECODER, trained(batch=1, decoder=True) + EVALUATE, 256),
    "decoder, bf16 weights": Case("llama", "causal_lm", DECODER, trained(batch=4, decoder=True), 128, ", dtype = bf16"),
    "encoder": Case("bert", "sequence_classification", ENCODER, trained(), 128),
    "encoder, one row, evaluated": Case("bert", "sequence_classification", ENCODER, trained(batch=1) + EVALUATE, 256),
    "encoder, many short rows": Case("bert", "sequence_classification", ENCODER, trained(batch=64), 32),
    "encoder, micro-batches": Case("bert", "sequence_classification", ENCODER,
                                   trained(batch=32, more="micro_batch = 4"), 128),
    "encoder, recomputed": Case("bert", "sequence_classification", ENCODER,
                                trained(batch=16, more="activation_checkpointing = true"), 256),
    "encoder, sgd": Case("bert", "sequence_classification", ENCODER, trained(more="optimizer = sgd"), 128),
    "encoder, distilled": Case("bert", "sequence_classification", ENCODER, trained(dense=DENSE, more=TEACH), 128),
    "encoder, hidden states distilled": Case("bert", "sequence_classification", ENCODER, trained(
        dense=DENSE, more=TEACH.replace("{ t", "{ on = [logits, hidden(0..3)], t")), 128),
    "encoder, frozen but for the head": Case("bert", "sequence_classification", ENCODER,
                                             trained("", more="freeze body { targets = @embeddings | @encoder }"), 128),
    "encoder, eager attention": Case("bert", "sequence_classification", ENCODER, trained(batch=2), 512,
                                     ", attention = eager"),
    "encoder, global": Case("bert", "sequence_classification", ENCODER, trained("magnitude(scope = global)"), 64),
    "encoder, movement": Case("bert", "sequence_classification", ENCODER, trained("movement").replace("20%", "0%"), 64),
    "encoder, obert": Case("bert", "sequence_classification", ENCODER,
                           trained("obert(block = 16, gradients = 4)"), 64),
    "masked words, 32,000 words": Case("bert", "masked_lm", ENCODER | {"vocab_size": 32_000}, trained(), 128),
    # the worst that we could think of
    "a layer 131,072 wide": Case("llama", "causal_lm", SMALL | {"intermediate_size": 131_072},
                                 trained(batch=1, decoder=True), 128),
    "eager attention, 1,024 tokens": Case("llama", "causal_lm", SMALL | {"intermediate_size": 704},
                                          trained(batch=1, decoder=True), 1024, ", attention = eager"),
    "256,000 words, one row": Case("llama", "causal_lm", SMALL | {"intermediate_size": 704, "vocab_size": 256_000},
                                   trained(batch=8, more="micro_batch = 1", decoder=True), 128),
    "4,000 labels": Case("bert", "sequence_classification", ENCODER, trained(batch=8) + EVALUATE, 32, labels=4000),
    "encoder, bf16 arithmetic": Case("bert", "sequence_classification", ENCODER, trained(more="precision = bf16"), 128),
    "encoder, evaluated between steps": Case("bert", "sequence_classification", ENCODER, trained(batch=1)
                                             + EVALUATE.replace("}", ", batch = 128, every = 1 step }"), 64),
    "one row of a tiny model": Case("bert", "sequence_classification", ENCODER | {"hidden_size": 32,
                                    "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
                                    trained(batch=1), 16),
    "bf16 files in fp32": Case("llama", "causal_lm", WIDE, shot("magnitude"), 128, stored="bf16"),
    "fp32 files in bf16": Case("llama", "causal_lm", WIDE, shot("magnitude"), 128, ", dtype = bf16", stored="fp32"),
    "global in one shot, a layer 131,072 wide": Case("llama", "causal_lm", SMALL | {"intermediate_size": 131_072},
                                                     shot("magnitude(scope = global)"), 128),
    "measured on far more than trained": Case("bert", "sequence_classification", ENCODER,
                                              trained(batch=1) + EVALUATE.replace("}", ", batch = 512 }"), 64),
    "a teacher four times as large": Case("bert", "sequence_classification", ENCODER, trained(
        more='distill { teacher = "teacher", hardness = 80%, temperature = 2 }'), 64,
        teacher=ENCODER | {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}),
    "experts": Case("mixtral", "causal_lm", SMALL | {"intermediate_size": 704, "num_local_experts": 16,
                    "num_key_value_heads": 4}, trained(batch=4, decoder=True), 128),
    "experts, wanda": Case("mixtral", "causal_lm", SMALL | {"intermediate_size": 704, "num_local_experts": 16,
                           "num_key_value_heads": 4}, shot("wanda"), 128),
    "experts, sparsegpt on disk": Case("mixtral", "causal_lm", SMALL | {"hidden_size": 512, "intermediate_size": 704,
                                       "num_local_experts": 16, "num_key_value_heads": 4}, shot("sparsegpt"), 128,
                                       offload=True),
    "encoder-decoder that writes": Case("t5", "text_to_text", T5, trained(batch=4).replace(
        "@encoder", "(@encoder | @decoder)") + EVALUATE.replace("}", ", samples = 64 samples }"), 64),
    "decoder, recomputed, 32,000 words": Case("llama", "causal_lm", DECODER, trained(
        batch=8, more="activation_checkpointing = true", decoder=True), 256),
    "sixteen thin layers": Case("bert", "sequence_classification", ENCODER | {"hidden_size": 128,
                                "num_hidden_layers": 16, "intermediate_size": 512}, trained(batch=32), 128),
    "magnitude in one shot": Case("llama", "causal_lm", WIDE, shot("magnitude"), 128),
    "wanda": Case("llama", "causal_lm", WIDE, shot("wanda"), 256),
    "wanda, evaluated": Case("llama", "causal_lm", WIDE, shot("wanda") + EVALUATE, 256),
    "wanda, bf16": Case("llama", "causal_lm", WIDE, shot("wanda"), 256, ", dtype = bf16"),
    "sparsegpt": Case("llama", "causal_lm", WIDE, shot("sparsegpt"), 256),
    "alps": Case("llama", "causal_lm", WIDE, shot("alps(iterations = 6)"), 256),
    "alps on disk": Case("llama", "causal_lm", DEEP, shot("alps(iterations = 6)"), 256, ", dtype = bf16", offload=True),
    "wanda on disk": Case("llama", "causal_lm", DEEP, shot("wanda"), 256, ", dtype = bf16", offload=True),
    "wanda on disk, evaluated": Case("llama", "causal_lm", DEEP, shot("wanda") + EVALUATE, 256, ", dtype = bf16",
                                     offload=True),
    "sparsegpt on disk": Case("llama", "causal_lm", DEEP, shot("sparsegpt"), 256, ", dtype = bf16", offload=True),
    "global magnitude on disk": Case("llama", "causal_lm", DEEP, shot("magnitude(scope = global)"), 128,
                                     ", dtype = bf16", offload=True),
}  # fmt: skip


def prepare(folder: Path, case: Case) -> Path:
    """The model, its words, the data and the recipe."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *(f"w{i}" for i in range(case.config["vocab_size"] - len(special)))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    if case.type == "bert":
        ids = [("[CLS]", 2), ("[SEP]", 3)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
        )
    (folder / "model").mkdir()
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
    config = AutoConfig.for_model(case.type, **case.config, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    auto = {
        "causal_lm": AutoModelForCausalLM,
        "masked_lm": AutoModelForMaskedLM,
        "sequence_classification": AutoModelForSequenceClassification,
        "text_to_text": AutoModelForSeq2SeqLM,
    }
    torch.manual_seed(0)
    model = auto[case.task].from_config(config)
    stored = case.stored or ("bf16" if "bf16" in case.model else "fp32")
    (model.bfloat16() if stored == "bf16" else model).save_pretrained(folder / "model")
    if case.teacher is not None:
        shutil.copytree(folder / "model", folder / "teacher", ignore=lambda *_: ["model.safetensors"])
        config = AutoConfig.for_model(case.type, **case.teacher, pad_token_id=0, bos_token_id=2, eos_token_id=3)
        auto[case.task].from_config(config).save_pretrained(folder / "teacher")
    draw = random.Random(0)

    def said(words: int = case.width) -> str:
        return " ".join(f"w{draw.randrange(5_000)}" for _ in range(words))

    many = max(256, case.labels) if "batch = 512" not in case.body else 512
    more: Callable[[int], dict[str, str]] = lambda i: {"text": said()}  # noqa: E731
    if case.task == "sequence_classification":
        more = lambda i: {"text": said(), "label": f"l{i % case.labels}"}  # noqa: E731
    elif case.task == "text_to_text":
        more = lambda i: {"source": said(), "target": said()}  # noqa: E731
    rows = [more(i) for i in range(many)]
    for name, some in (("train", rows), ("dev", rows if many == 512 else rows[:128])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some), "utf-8")
    samples = ", samples = 64 samples" if "one_shot" in case.body else ""
    classes = ""
    if case.labels > 2:  # more than a thousand are believed only where they are listed
        classes = ", classes = [" + ", ".join(f'"l{i}"' for i in range(case.labels)) + "]"
    text = f"""recipe 1 "memory"
model {{ base = "model", task = {case.task}{case.model} }}
data {{ train = "train.jsonl", validation = "dev.jsonl", max_length = {case.width} tokens{samples}{classes} }}
{case.body.replace("METRIC", METRICS[case.task])}"""
    (folder / "a.recipe").write_text(text, "utf-8")
    return folder / "a.recipe"


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def measure(recipe: Path, out: Path, offload: bool) -> None:
    """In a process of its own: prints the plan's figure and the measured one, in bytes."""
    import warnings

    import torch

    import recipelang
    from recipelang.engine import run  # noqa: F401 (what a run imports is no part of its memory)

    warnings.simplefilter("ignore")
    planned = recipelang.plan(recipe)
    plan: Any = getattr(planned, "plan", planned)
    # the class, the kernels and the libraries' own pools: a pass of a tiny model of the type
    from transformers import AutoConfig, AutoModel

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
             "num_key_value_heads": 1, "num_local_experts": 2}  # fmt: skip
    tiny = AutoModel.from_config(AutoConfig.for_model(plan.model.family, **small, vocab_size=9))
    read = {"input_ids": torch.ones(1, 4, dtype=torch.long)}
    read |= {"decoder_input_ids": read["input_ids"]} if tiny.config.is_encoder_decoder else {}
    tiny(**read).last_hidden_state.sum().backward()
    del tiny
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before = _status("VmRSS")
    recipelang.run(recipe, out, reporter=recipelang.engine.records.Reporter(), offload=offload)
    peak = torch.cuda.max_memory_allocated() if cuda else _status("VmHWM") - before
    print(json.dumps({"plan": plan.offloaded_memory if offload else plan.peak_memory, "peak": peak}))


def row(name: str, case: Case) -> float:
    with tempfile.TemporaryDirectory() as folder:
        make: Callable[[Path, Case], Path] = prepare
        recipe = make(Path(folder), case)
        command = [sys.executable, __file__, "--measure", str(recipe), *(["--offload"] if case.offload else [])]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"{name:34} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return 0.0
    found = json.loads(done.stdout.splitlines()[-1])
    ratio = found["plan"] / found["peak"]
    print(f"{name:34} {found['plan'] / 1e6:8.0f} MB {found['peak'] / 1e6:8.0f} MB {ratio:8.2f}", flush=True)
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--offload", action="store_true")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.measure.with_name("out"), options.offload)
        return
    print(f"{'case':34} {'plan':>11} {'peak':>11} {'ratio':>8}")
    chosen = {n: c for n, c in CASES.items() if not options.cases or any(part in n for part in options.cases)}
    ratios = [row(name, case) for name, case in chosen.items()]
    print(f"plan over peak: least {min(ratios):.2f}, most {max(ratios):.2f} (wanted: 1.00 to 1.30)")


if __name__ == "__main__":
    main()
