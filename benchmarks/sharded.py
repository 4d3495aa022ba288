"""What a process of `run --shard` takes to load its model: peak resident memory and time, two processes over gloo.

A random Llama in bf16 lies in several files. Each process loads it once by its own rows and once as a whole that it then
cuts; peaks are what Linux says (`VmHWM`: pages of mapped files count), less what the imports took.

    python benchmarks/sharded.py [--size 0.1 | 1.1 | 3] [--dtype fp32 | auto] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from big_oneshot import SIZES, make_model

RECIPE = """recipe 1 "sharded"
model {{ base = "model", task = causal_lm, dtype = {dtype} }}
stage cut {{
  mode = one_shot
  prune weights {{ targets = @linear & @decoder, method = magnitude, sparsity = 50% }}
}}
"""

LOADED = """
import json, sys, time
import torch, transformers, safetensors.torch, accelerate, datasets
import torch.distributed.fsdp, torch.distributed.tensor
from transformers import LlamaForCausalLM
from recipelang import processes
from recipelang.engine.models import load_model
from recipelang.engine.run import _first
from recipelang.engine.slices import sharded_model
from recipelang.loading.plan import planned
from recipelang.pruning.shards import local, shard

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

processes.join()
_, plan, _ = planned("sharded.recipe")
imports, began, device = peak(), time.monotonic(), torch.device("cpu")
if sys.argv[1] == "rows":
    model = sharded_model(*_first(plan), device)
else:
    model = load_model(*_first(plan))
    shard(model, device)
here = sum(local(p).nbytes for p in model.parameters())
print("MEASURED", json.dumps({"peak": peak() - imports, "here": here, "seconds": time.monotonic() - began}))
processes.leave()
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="0.1")
    parser.add_argument("--dtype", choices=("fp32", "auto"), default="fp32")
    parser.add_argument("--folder", type=Path, default=None, help="with room for the model; none: the temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        stored = make_model(folder, arguments.size, None)
        (folder / "sharded.recipe").write_text(RECIPE.format(dtype=arguments.dtype), "utf-8")
        print(f"{stored / 1e6:,.0f} MB of weights in the files, dtype = {arguments.dtype}, {os.cpu_count()} processors")
        for how in ("whole", "rows"):
            for rank, found in enumerate(loaded(folder, how)):
                sizes = f"peak {found['peak'] / 1e6:,.0f} MB, its shard {found['here'] / 1e6:,.0f} MB"
                print(f"{how}, process {rank}: {sizes}, {found['seconds']:.1f} s")


def loaded(folder: Path, how: str) -> list[dict[str, float]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", LOADED, how],
            cwd=folder,
            env={**place, "RANK": str(n), "LOCAL_RANK": str(n)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    return [json.loads(next(s for s in text.splitlines() if s.startswith("MEASURED"))[9:]) for text in said]


if __name__ == "__main__":
    main()
