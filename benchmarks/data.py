"""Time and memory from rows in a file to the first batch: recipelang and plain `datasets`, each in its own process.

    python benchmarks/data.py --rows 1000000

On a machine that others use, look at the seconds of processors. The rows are made here: short texts of 4 to 12 words with a label, one a line of JSON. Both tokenise with the same
tokenizer, once with an empty cache and once more with what the first run left. Memory is the highest resident size,
less what the imports take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

WORDS = 2000
PORTION = 100_000
RECIPE = """recipe 1 "rows"

model { base = "model", task = sequence_classification }
data { train = "rows.jsonl", max_length = 32 tokens }
stage train {
  length = 1 steps
  batch = 32
  learning_rate = constant(1e-4)
  prune weights { targets = @linear & @encoder, method = magnitude, sparsity = 50% }
}
"""


def make(folder: Path, rows: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification

    words = [f"word{i}" for i in range(WORDS)]
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertForSequenceClassification(config).save_pretrained(folder / "model")
    tokenizer.save(str(folder / "model/tokenizer.json"))
    rng = np.random.default_rng(0)
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for first in range(0, rows, PORTION):
            many = min(PORTION, rows - first)
            ends = np.cumsum(rng.integers(4, 13, many)).tolist()
            drawn = [words[i] for i in rng.integers(0, WORDS, ends[-1]).tolist()]
            texts = (" ".join(drawn[a:b]) for a, b in pairwise([0, *ends]))
            file.writelines(f'{{"text": "{text}", "label": {i % 3}}}\n' for i, text in enumerate(texts, first))
    (folder / "rows.recipe").write_text(RECIPE, "utf-8")


def ours(folder: Path) -> int:
    import pyarrow  # noqa: F401
    import tokenizers  # noqa: F401

    import recipelang
    from recipelang.planning.data import load_split

    begin = start()
    plan = recipelang.plan(folder / "rows.recipe")
    _, features = load_split(plan.data[0], "train", Path(plan.model.path))
    order = np.random.default_rng(0).permutation(len(features))
    batch = features.batch(order[:32])
    tell(begin, len(features))
    return int(batch["input_ids"].sum())


def streamed(folder: Path) -> int:
    """The first batch of the same rows as a stream, then those of the steps that read all of it once."""
    import pyarrow  # noqa: F401
    import tokenizers  # noqa: F401
    import torch  # noqa: F401

    import recipelang
    from recipelang.engine.streaming import Stream

    text = RECIPE.replace("length = 1 steps", "length = STEPS steps").replace(
        "max_length = 32 tokens", "max_length = 32 tokens, streaming = true"
    )
    with open(folder / "rows.jsonl", "rb") as file:
        rows = sum(1 for _ in file)
    (folder / "streamed.recipe").write_text(text.replace("STEPS", str(rows // 32)), "utf-8")
    begin = start()
    plan = recipelang.plan(folder / "streamed.recipe")
    (stage,) = plan.stages
    stream = Stream(plan.data[0], stage, Path(plan.model.path), stage.seed, stage.steps)
    total = int(stream.batch(0)["input_ids"].sum())
    print(f"first batch after {time.perf_counter() - begin[0]:.1f} s, {peak() - begin[2]:.0f} MB", file=sys.stderr)
    for step in range(1, stage.steps):
        stream.batch(step)
    tell(begin, stream.position(stage.steps).records)
    return total


def plain(folder: Path) -> int:
    import datasets
    import torch
    from tokenizers import Tokenizer

    begin = start()
    datasets.disable_progress_bars()
    tokenizer = Tokenizer.from_file(str(folder / "model/tokenizer.json"))
    tokenizer.enable_truncation(32)
    cache = str(folder / "datasets")
    rows = datasets.load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train", cache_dir=cache)

    def encoded(some):  # type: ignore[no-untyped-def]
        return {"input_ids": [e.ids for e in tokenizer.encode_batch(some["text"])], "labels": some["label"]}

    done = rows.map(encoded, batched=True, remove_columns=["text", "label"], new_fingerprint="rows")
    order = torch.randperm(len(done), generator=torch.Generator().manual_seed(0)).tolist()
    batch = done[order[:32]]
    tell(begin, len(done))
    return sum(map(sum, batch["input_ids"]))


WHO = {"ours": ours, "plain": plain, "streamed": streamed}


def start() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), peak()


def peak() -> float:
    """MB. What the system counts for this program, not for the one that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.read_text("utf-8").split("VmHWM:")[1].split()[0]) / 1024


def tell(begin: tuple[float, float, float], rows: int) -> None:
    seconds, cpu, imports = begin
    print(json.dumps([rows, time.perf_counter() - seconds, time.process_time() - cpu, peak() - imports, imports]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--who", nargs="+", choices=list(WHO), default=["ours", "plain"])
    parser.add_argument("--only", choices=["make", *WHO], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only == "make":
        make(given.folder, given.rows)
        return
    if given.only:
        WHO[given.only](given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # in a process of its own: a peak of this one would be taken for one of those that it starts
        size = ["--rows", str(given.rows)]
        subprocess.run([sys.executable, __file__, "--only", "make", "--folder", name, *size], check=True)
        around = {**os.environ, "RECIPELANG_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        for who in given.who:
            for when in ("first", "again"):
                command = [sys.executable, __file__, "--only", who, "--folder", name]
                out = subprocess.run(command, env=around, check=True, stdout=subprocess.PIPE, text=True).stdout
                rows, seconds, cpu, more, imports = json.loads(out.splitlines()[-1])
                told = f"{seconds:.1f} s, {cpu:.1f} s of processors, {more:.0f} MB above {imports:.0f} MB of imports"
                print(f"{who} {when}: {rows:,} rows, {told}", flush=True)


if __name__ == "__main__":
    main()
