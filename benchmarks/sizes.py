"""How fast models of several sizes are in every runtime, all in turn in one process; writes the table of docs/speed.md.

The encoder of the quickstart with random weights: as it is, with 90 % zeros, and smaller. A speed is that over the dense
model in the same runtime; of an int8 model, over the dense model that was not quantized. Fails where a claim of the project
does not hold here: zeros alone make nothing faster, half the width and 4 of 6 layers at least 1.8 times, and these in int8
at least 3 times where the processor multiplies int8 numbers (AVX-512 VNNI, AVX-VNNI).

    python benchmarks/sizes.py [--rounds 50] [--write]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import textwrap
from importlib.metadata import version
from pathlib import Path
from statistics import median

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
MARKS = "<!-- written by `make sizes` -->", "<!-- to here -->"
#: name -> feed-forward width, layers, share of zeros
MODELS = {
    "dense": (1536, 6, 0.0),
    "90 % zeros": (1536, 6, 0.9),
    "half the feed-forward width": (768, 6, 0.0),
    "4 of 6 layers": (1536, 4, 0.0),
    "both": (768, 4, 0.0),
}
LENGTH = 128
#: of `/proc/cpuinfo`
INT8 = {"avx512_vnni", "avx_vnni"}


def make(folder: Path, width: int, layers: int, zeros: float) -> int:
    """The number of parameters."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_attention_heads=12, intermediate_size=width, num_hidden_layers=layers)
    model = BertForQuestionAnswering(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and ".layer." in name:
                weight.mul_(torch.rand_like(weight) >= zeros)
    model.save_pretrained(folder)
    return model.num_parameters()


def measured(rounds: int) -> tuple[list[list[str]], dict[tuple[str, str], float]]:
    """The rows of the table, and of model and runtime the speed."""
    from recipelang.engine import bench, paired
    from recipelang.kinds.formats import RUNTIMES, quantized_from

    with tempfile.TemporaryDirectory() as aside:
        folders = {name: Path(aside, str(at)) for at, name in enumerate(MODELS)}
        counts = {name: make(folders[name], *MODELS[name]) for name in MODELS}
        asked = [(name, runtime) for runtime in RUNTIMES for name in MODELS]
        _, times = bench.timed(
            [(folders[name], runtime) for name, runtime in asked],
            batch=1, length=LENGTH, threads=1, rounds=rounds, seed=0, own=Path(aside), tell=print,
        )  # fmt: skip
    seconds = dict(zip(asked, times, strict=True))
    speeds: dict[tuple[str, str], float] = {}
    rows = []
    for name in MODELS:
        row = [name, f"{counts[name] / 1e6:.1f} M"]
        for runtime in RUNTIMES:
            reference = ("dense", quantized_from(runtime))
            if (name, runtime) == reference:
                row.append(f"{1000 * median(seconds[reference]):.1f} ms")
                continue
            found = paired.ratio(seconds[reference], seconds[name, runtime])
            speeds[name, runtime] = found.median
            row.append(f"{found.median:.2f}x ({found.low:.2f} to {found.high:.2f})")
        rows.append(row)
    return rows, speeds


def broken(speeds: dict[tuple[str, str], float], int8: bool) -> list[str]:
    """Claims that do not hold."""
    found = [
        f"90 % zeros: {s:.2f}x in {r}"
        for (n, r), s in speeds.items()
        if n == "90 % zeros" and r != "onnx_int8" and abs(s - 1) > 0.05
    ]
    found += [f"both: {s:.2f}x in {r}" for (n, r), s in speeds.items() if n == "both" and s < 1.8]
    if int8 and speeds["both", "onnx_int8"] < 3:
        found.append(f"both in int8: {speeds['both', 'onnx_int8']:.2f}x")
    return found


def text(rows: list[list[str]], rounds: int, int8: bool) -> str:
    from recipelang.kinds.formats import RUNTIMES
    from recipelang.planning import processor

    head = ["model", "weights", *(f"`{r}`" for r in RUNTIMES)]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    packages = ("torch", "transformers", "onnxruntime", "openvino")
    made = ", ".join(f"{p} {version(p)}" for p in packages)
    with_int8 = "with" if int8 else "without"
    told = (
        f"Processor time of 1 text of {LENGTH} tokens on 1 thread of {processor.name()} ({with_int8} int8 dot products); "
        f"{made}. Medians of {rounds} rounds in turn in one process, with 95 % intervals."
    )
    lines += ["", *textwrap.wrap(told, 118, break_on_hyphens=False)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="replace the table of docs/speed.md")
    options = parser.parse_args()
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.M)
    int8 = bool(flags and INT8 & {*flags[1].split()})
    rows, speeds = measured(options.rounds)
    told = text(rows, options.rounds, int8)
    print(told)
    if options.write:
        page = PAGE.read_text("utf-8")
        before, rest = page.split(MARKS[0])
        _, after = rest.split(MARKS[1])
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{told}\n\n{MARKS[1]}{after}", "utf-8")
    wrong = broken(speeds, int8)
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
