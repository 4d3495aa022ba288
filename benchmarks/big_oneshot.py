"""One shot of a model that need not fit in memory: peak resident memory and time, with weights on disk.

A random Llama in bf16 is written shard by shard, so that making it takes no more memory than a shard. Then a recipe prunes
it with each method at 50 % with `--offload`, in a process of its own whose peak is what Linux says of it (`VmHWM`: pages of
mapped files count). What importing torch and transformers takes is measured apart and left out.

    python benchmarks/big_oneshot.py [--size 1.1 | 3] [--methods wanda sparsegpt] [--folder DIR] ...
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: hidden size, layers, heads, key-value heads, intermediate size: of TinyLlama, and of a Llama of 3 B
SIZES = {"0.1": (768, 12, 12, 4, 2048), "1.1": (2048, 22, 32, 4, 5632), "3": (3072, 28, 24, 8, 8192)}
VOCABULARY = 32_000
SHARD = 400 * 10**6

RECIPE = """recipe 1 "big"
model {{ base = "model", task = causal_lm, dtype = auto }}
data {{ train = "train.txt", validation = "dev.txt", max_length = {length} tokens, samples = {samples} samples }}
stage cut {{
  mode = one_shot
  prune weights {{ targets = @linear & @decoder, never = @embeddings | @head, method = {method}, sparsity = 50% }}
}}
{evaluate}
export {{ max_shard = 1 GB }}
"""

#: a process of its own: its peak, less what the imports took, and the seconds of the run
WATCHED = """
import json, sys, time
import torch, transformers, safetensors.torch, accelerate, datasets
import recipelang, recipelang.engine.run
from transformers import LlamaForCausalLM
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
imports, began = peak(), time.monotonic()
result = recipelang.run("big.recipe", out=sys.argv[1], offload=sys.argv[2] == "disk")
found = {"imports": imports, "peak": peak(), "seconds": time.monotonic() - began, "metrics": result.metrics}
print("MEASURED", json.dumps(found))
"""


def make_model(folder: Path, size: str, fewer: int | None) -> int:
    """Bytes of the weights. Normal numbers of a deviation of 0.02, as a Llama begins with."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, heads, pairs, wide = SIZES[size]
    layers = fewer or layers
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=pairs,
        intermediate_size=wide,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=0,
        dtype="bfloat16",
        architectures=["LlamaForCausalLM"],
    )
    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in LlamaForCausalLM(config).state_dict().items()}
    total = sum(2 * torch.Size(s).numel() for s in shapes.values())
    room = shutil.disk_usage(folder).free
    if room < 3.2 * total:  # the model, what is pruned of it, and the result
        sys.exit(f"{folder} has {room / 1e9:.1f} GB free; {3.2 * total / 1e9:.1f} GB are needed")
    torch.manual_seed(0)
    model = folder / "model"
    model.mkdir()
    config.save_pretrained(model)
    tokenizer = Tokenizer(
        models.WordLevel({"<end>": 0, **{f"w{i}": i for i in range(1, VOCABULARY)}}, unk_token="<end>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(model / "tokenizer.json"))
    parts: list[dict[str, torch.Tensor]] = [{}]
    places: list[list[str]] = [[]]
    for name, shape in shapes.items():
        held = sum(2 * t.numel() for t in parts[-1].values())
        if held and held + 2 * torch.Size(shape).numel() > SHARD:
            save_file(parts[-1], model / f"part-{len(places)}.safetensors", {"format": "pt"})
            parts[-1] = {}
            places.append([])
        drawn = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02
        parts[-1][name] = drawn.bfloat16()
        places[-1].append(name)
    save_file(parts[-1], model / f"part-{len(places)}.safetensors", {"format": "pt"})
    index: dict[str, str] = {}
    of = len(places)
    for number, names in enumerate(places, 1):
        file = f"model-{number:05}-of-{of:05}.safetensors"
        (model / f"part-{number}.safetensors").rename(model / file)
        index |= dict.fromkeys(names, file)
    (model / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}), "utf-8"
    )
    return total


def make_texts(folder: Path, tokens: int) -> None:
    import random

    for seed, name in enumerate(("train.txt", "dev.txt")):
        rng = random.Random(seed)
        (folder / name).write_text(" ".join(f"w{rng.randrange(1, VOCABULARY)}" for _ in range(tokens)), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="1.1")
    parser.add_argument("--layers", type=int, help="fewer layers of that size, where time is short")
    parser.add_argument("--methods", nargs="+", default=["wanda", "sparsegpt"])
    parser.add_argument("--weights", choices=("disk", "memory"), default="disk")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--evaluate", action="store_true", help="measure the perplexity of a few blocks too")
    parser.add_argument("--folder", type=Path, help="where the model is made; removed at the end only if not named")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="big-oneshot-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        began = time.monotonic()
        if (folder / "model").exists():
            total = sum(p.stat().st_size for p in (folder / "model").glob("*.safetensors"))
        else:
            total = make_model(folder, options.size, options.layers)
            print(f"made a model of {total / 1e9:.2f} GB in {time.monotonic() - began:.0f} s", flush=True)
        make_texts(folder, (options.samples + 2) * options.length)
        allowed = total / 3 + 1e9
        for method in options.methods:
            evaluate = "evaluate dev { metrics = [perplexity] }" if options.evaluate else ""
            text = RECIPE.format(length=options.length, samples=options.samples, method=method, evaluate=evaluate)
            (folder / "big.recipe").write_text(text, "utf-8")
            shutil.rmtree(folder / "out", ignore_errors=True)
            ran = subprocess.run(
                [sys.executable, "-c", WATCHED, "out", options.weights],
                cwd=folder,
                env=os.environ | {"HF_HUB_OFFLINE": "1"},
                capture_output=True,
                text=True,
            )
            line = next((ln for ln in ran.stdout.splitlines() if ln.startswith("MEASURED ")), None)
            if line is None:
                sys.exit(ran.stderr[-4000:])
            found = json.loads(line.removeprefix("MEASURED "))
            peak = found["peak"] - found["imports"]
            verdict = "within" if peak <= allowed else "ABOVE"
            print(
                f"{method}: peak {peak / 1e9:.2f} GB above {found['imports'] / 1e9:.2f} GB of imports, {verdict} "
                f"{allowed / 1e9:.2f} GB (a third of {total / 1e9:.2f} GB, and 1 GB); {found['seconds']:.0f} s; "
                f"{found['metrics']}",
                flush=True,
            )
            shutil.rmtree(folder / "out", ignore_errors=True)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
