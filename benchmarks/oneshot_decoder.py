"""One-shot pruning of a decoder: what magnitude, Wanda and SparseGPT at 50 % do to its perplexity.

No real decoder is at hand without a network, so a small one of Llama's architecture is made first: a byte-level
vocabulary and the weights are trained on passages of SQuAD, by a recipe. Then `recipes/oneshot/decoder-50.recipe`
prunes it with each method and pattern. Perplexity is measured on passages of the dev set, which is of other articles.

    RECIPELANG_SHARED=... python benchmarks/oneshot_decoder.py [--folder DIR] [--steps 800] [--samples 128]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "oneshot" / "decoder-50.recipe"
RUNS = [(m, p) for p in ("unstructured", "2:4") for m in ("magnitude", "wanda", "sparsegpt")]
LENGTH = 128

DENSE = """recipe 1 "dense"

model {{ base = "start", task = causal_lm }}
data {{ train = "train.jsonl", validation = "dev.jsonl", max_length = {length} tokens }}
stage dense {{
  length = {steps} steps
  batch = 8
  precision = {precision}
  optimizer = adamw(betas = [0.9, 0.95], weight_decay = 0.1)
  learning_rate = [linear(0 -> 3e-3, over = 0%..5%), cosine(3e-3 -> 1e-4, over = 5%..100%)]
}}
evaluate dev {{ metrics = [perplexity], compare = dense }}
"""


def passages(files: list[Path], most: int) -> list[str]:
    """Each once, in their order."""
    found = {
        p["context"]: None for f in files for a in json.loads(f.read_text("utf-8"))["data"] for p in a["paragraphs"]
    }
    return [*found][:most]


def prepare(folder: Path, shared: Path, options: argparse.Namespace) -> None:
    """Text, a vocabulary trained on it, and a model with random weights."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    squad = shared / "data" / "squad"
    for name, files, most in (
        ("train", sorted(squad.glob("train-*.json")), 1 << 30),
        ("dev", [squad / "dev-v1.1.json"], 400),
    ):
        text = "".join(json.dumps({"text": t}) + "\n" for t in passages(files, most))
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    tokenizer = ByteLevelBPETokenizer()
    texts = [json.loads(line)["text"] for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    tokenizer.train_from_iterator(texts, vocab_size=2048, special_tokens=["<|end|>"], show_progress=False)
    start = folder / "start"
    start.mkdir()
    tokenizer.save(str(start / "tokenizer.json"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        num_key_value_heads=max(1, options.hidden // 128),
        intermediate_size=options.hidden * 11 // 4,
        max_position_embeddings=2 * LENGTH,
        bos_token_id=None,
        eos_token_id=0,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(start)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {len(texts):,} passages", flush=True)


def recipelang(*arguments: str) -> float:
    """One command, its seconds; a claim that is not met (3) is for the table to show."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "recipelang", *arguments], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    return time.perf_counter() - began


def metrics(out: Path) -> dict[str, float]:
    return json.loads((out / "run.json").read_text("utf-8"))["metrics"]


def train(folder: Path, options: argparse.Namespace) -> None:
    text = DENSE.format(length=LENGTH, steps=options.steps, precision=options.precision)
    (folder / "dense.recipe").write_text(text, "utf-8")
    seconds = recipelang("run", str(folder / "dense.recipe"), "-o", str(folder / "dense"), "--overwrite")
    before, after = (metrics(folder / "dense")[n] for n in ("dev.dense.perplexity", "dev.perplexity"))
    print(f"trained in {seconds:.0f} s: perplexity {before:,.0f} -> {after:.2f}", flush=True)


def prune(folder: Path, method: str, structure: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Perplexity before and after, and the seconds of the stage itself."""
    out = folder / f"{method}-{structure.replace(':', 'of')}"
    given = {
        "base": folder / "dense",
        "train": folder / "train.jsonl",
        "dev": folder / "dev.jsonl",
        "method": method,
        "structure": structure,
        "samples": f"{options.samples} samples",
        "max_length": f"{LENGTH} tokens",
    }
    arguments = [a for name, value in given.items() for a in ("-p", f"{name}={value}")]
    recipelang("run", str(RECIPE), "-o", str(out), "--overwrite", *arguments)
    record = json.loads((out / "run.json").read_text("utf-8"))
    found = record["metrics"]
    assert abs(record["sparsity"]["targets"] - 0.5) < 1e-3
    return found["dev.dense.perplexity"], found["dev.perplexity"], record["seconds"]["calibrate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="kept; a model that was trained there is used again")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    if "RECIPELANG_SHARED" not in os.environ:
        sys.exit("RECIPELANG_SHARED names the folder that holds `data/squad`")
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "dense" / "run.json").is_file():
            prepare(folder, Path(os.environ["RECIPELANG_SHARED"]), options)
            train(folder, options)
        print(f"\n{'pattern':14} {'method':11} {'perplexity':>10} {'of dense':>9} {'seconds':>8}")
        for method, structure in RUNS:
            before, after, seconds = prune(folder, method, structure, options)
            print(f"{structure:14} {method:11} {after:10.2f} {after / before:8.3f}x {seconds:8.1f}", flush=True)
        print(f"{'dense':14} {'':11} {before:10.2f}")


if __name__ == "__main__":
    main()
