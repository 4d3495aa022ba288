"""The time that `plan --measure` predicts against the time of the run, a row a case and a part.

    python benchmarks/forecast.py [--cases NAME ...] [--clock wall | processor]

Every case is a model with random weights, and a run of a minute or so, predicted and run in a process each. By the
clock it says something on a machine that does nothing else; the time of processors says as much, with one thread, at any
load.
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

from memory import DECODER, ENCODER, EVALUATE, RATE, TARGETS, Case, prepare

BODY = ENCODER | {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 1024}
DEEP = DECODER | {"num_hidden_layers": 12, "hidden_size": 384, "intermediate_size": 1024, "vocab_size": 8000}
CUT = "prune weights { %s, method = %s, sparsity = %s }"


def stage(more: str, method: str = "", sparsity: str = "cubic(20% -> 80%, over = 0%..50%, every = 10 steps)") -> str:
    cut = CUT % (TARGETS, method, sparsity) if method else ""
    return f"stage sparse {{ length = 160 steps, batch = 8, {RATE}\n{more}\n{cut} }}\n"


def encoder(body: str) -> Case:
    return Case("bert", "sequence_classification", BODY, body, 64)


SHRINK = "shrink body { axes = [ffn -> 50%, layers -> 3], rounds = 2, every = 40 steps }"
CASES = {
    "trained": encoder(stage("")),
    "magnitude": encoder(stage("", "magnitude")),
    "obert, one event": encoder(stage("", "obert(block = 16, gradients = 256)", "step(0% -> 50%, at = 50%)")),
    "obert, four events": encoder(stage("", "obert(block = 16, gradients = 64)",
                                        "cubic(20% -> 80%, over = 0%..60%, every = 32 steps)")),
    "snip": encoder(stage("", "snip(batches = 32)", "cubic(20% -> 80%, over = 0%..50%, every = 10 steps)")),
    "rigl": encoder(stage("", "rigl", "constant(80%, over = start..75%, every = 10 steps)")),
    "movement": encoder(stage("", "movement", "cubic(0% -> 80%, over = 0%..50%, every = 10 steps)")),
    "frozen for the first half": encoder(stage("freeze body { targets = @embeddings | @encoder, until = 80 steps }")),
    "shrunk in rounds": encoder(stage(SHRINK)),
    "mostly evaluated": encoder(stage("").replace("160", "32") + EVALUATE.replace("}", ", batch = 8 }")),
    "exported for ONNX Runtime": encoder(stage("").replace("160", "32") + EVALUATE + "export { formats = [safetensors, onnx] }"),
    "wanda": Case("llama", "causal_lm", DEEP, "stage cut { mode = one_shot\n" + CUT % (
        TARGETS.replace("encoder", "decoder"), "wanda", "50%") + " }\n", 256),
    "sparsegpt": Case("llama", "causal_lm", DEEP, "stage cut { mode = one_shot\n" + CUT % (
        TARGETS.replace("encoder", "decoder"), "sparsegpt", "50%") + " }\n", 256),
}  # fmt: skip


def measure(recipe: Path, what: str, clock: str) -> None:
    """In a process of its own, as a user would start it: seconds of every part, as predicted or as taken."""
    import warnings

    if clock == "processor":
        time.monotonic = time.process_time
    warnings.simplefilter("ignore")
    if what == "predicted":
        import recipelang
        from recipelang.engine.forecast import forecast

        parts = forecast(recipelang.plan(recipe)).parts
    else:
        import recipelang
        from recipelang.engine.records import Reporter

        out = recipe.with_name("out")
        recipelang.run(recipe, out, reporter=Reporter())
        parts = json.loads((out / "run.json").read_text("utf-8"))["parts"]
    print("MEASURED", json.dumps(parts))


def row(name: str, case: Case, clock: str) -> None:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        recipe = prepare(Path(folder), case)
        for what in ("predicted", "taken"):
            command = [sys.executable, __file__, "--measure", str(recipe), "--what", what, "--clock", clock]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            line = next((each for each in done.stdout.splitlines() if each.startswith("MEASURED ")), None)
            if line is None:
                print(f"{name:28} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
                return
            found.append(json.loads(line.removeprefix("MEASURED ")))
    predicted, taken = found
    taken["export"] = taken.get("export", 0) + taken.pop("end", 0)
    taken["stage and its rounds"] = sum(taken.pop(n) for n in [*taken] if n.startswith(("stage ", "rounds ")))
    predicted["stage and its rounds"] = sum(predicted.pop(n) for n in [*predicted] if n.startswith("stage "))
    ours, real = sum(predicted.values()), sum(taken.values())
    parts = ", ".join(f"{n} {predicted.get(n, 0):.1f}/{taken.get(n, 0):.1f}" for n in {**predicted, **taken})
    print(f"{name:28} {ours:7.1f} s {real:7.1f} s {ours / real:6.2f}   {parts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--what", choices=("predicted", "taken"), default="taken")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.what, options.clock)
        return
    print(f"{'case':28} {'predicted':>9} {'taken':>9} {'ratio':>6}   by part")
    for name, case in CASES.items():
        if not options.cases or any(part in name for part in options.cases):
            row(name, case, options.clock)


if __name__ == "__main__":
    main()
