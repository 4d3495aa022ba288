"""Run the experiments of `docs/evidence.md`, and write what came out into it.

    python docs/evidence.py --data FOLDER [-o runs/evidence] [--only NAME] [--jobs N]
    python docs/evidence.py --table

What is finished is kept, what was interrupted is gone on with: type it again. `--table` runs nothing, and writes the
page from what there is. FOLDER holds the data sets as the page names them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipelang.source.words import plural

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "docs" / "evidence.md", ROOT / "docs" / "evidence"

ALONE = ["smc", "components", "schedules", "distillation", "all"]
CONTROLS = ["longer", "head_dense", "embeddings_dense"]
WITHOUT = ["without_schedules", "without_distillation"]
SST2 = {"task": "sequence_classification", "train": "{data}/sst2/train.tsv", "dev": "{data}/sst2/dev.tsv"}
SQUAD = {"train": "{data}/squad/train-v1.1-44articles.json", "dev": "{data}/squad/dev-v1.1.json"}


@dataclass(frozen=True)
class Study:
    """`of`: which runs of it; `metrics`: those that the page shows, the first one as a picture."""

    name: str
    file: str
    given: Mapping[str, str]
    metrics: Sequence[str]
    of: Sequence[str] = ()


@dataclass(frozen=True)
class Run:
    name: str
    file: str
    given: Mapping[str, str]


FINE_TUNED = Run(
    "squad-fine-tuned",
    "recipes/studies/fine-tuned.recipe",
    {**SQUAD, "measured": "500 samples", "max_length": "128 tokens"},
)
EXPERIMENTS: Sequence[Study | Run] = (
    Study(
        "sst2-guidelines",
        "recipes/studies/guidelines.recipe",
        {**SST2, "samples": "4_000 samples", "max_length": "64 tokens"},
        ["dev.accuracy"],
        of=[f"{arm}/target-90" for arm in (*ALONE, *CONTROLS)],
    ),
    FINE_TUNED,
    Study(
        "squad-guidelines",
        "recipes/studies/guidelines.recipe",
        {
            **SQUAD,
            "base": "{out}/squad-fine-tuned",
            "dense": "40 steps",
            "samples": "4_000 samples",
            "measured": "500 samples",
            "max_length": "128 tokens",
        },
        ["dev.f1", "dev.exact_match"],
        of=[f"{arm}/target-90" for arm in (*ALONE, *WITHOUT)],
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--only", action="append", choices=[e.name for e in EXPERIMENTS])
    parser.add_argument("--jobs", type=int, default=1, help="runs of a study at once")
    parser.add_argument("--table", action="store_true", help="run nothing")
    asked = parser.parse_args()
    chosen = [e for e in EXPERIMENTS if not asked.only or e.name in asked.only]
    if not asked.table:
        if asked.data is None:
            parser.error("--data FOLDER: where the data sets are")
        for experiment in chosen:
            code = run(experiment, asked.data.resolve(), asked.out.resolve(), asked.jobs)
            if code != 0:
                return code
    write(asked.out)
    return 0


def run(experiment: Study | Run, data: Path, out: Path, jobs: int) -> int:
    folder = out / experiment.name
    program = [sys.executable, "-m", "recipelang"]
    if isinstance(experiment, Run) and (folder / "run.json").exists():
        if json.loads((folder / "run.json").read_text("utf-8"))["status"] == "finished":
            return 0
        command = ["resume", str(folder)]
    else:
        kind = "study" if isinstance(experiment, Study) else "run"
        command = [kind, str(ROOT / experiment.file), "-o", str(folder)]
        for name, value in experiment.given.items():
            command += ["-p", f"{name}={value.format(data=data, out=out)}"]
    if isinstance(experiment, Study):
        command += ["--jobs", str(jobs), *(w for only in experiment.of for w in ("--only", only))]
    print(" ".join(("recipelang", *command)), flush=True)
    return subprocess.run([*program, *command]).returncode


# ------------------------------------------------------------------------ the page
def write(out: Path) -> None:
    """Fill the passages between `<!-- NAME -->` and `<!-- end -->`; one that was not run stays as it is."""
    page = PAGE.read_text("utf-8")
    for experiment in EXPERIMENTS:
        told = _study(experiment, out) if isinstance(experiment, Study) else _run(experiment, out)
        if told is not None:
            mark = re.escape(f"<!-- {experiment.name} -->")
            page = re.sub(rf"({mark}\n).*?(<!-- end -->)", lambda m, t=told: m[1] + t + m[2], page, flags=re.S)  # type: ignore[misc]
    PAGE.write_text(page, "utf-8")


def _study(study: Study, out: Path) -> str | None:
    folder = out / study.name
    if not (folder / "study.json").is_file():
        return None
    form = json.loads((folder / "study.json").read_text("utf-8"))
    rows = [r for r in form["table"] if r["finished"]]
    finished = [r for r in form["runs"] if r["status"] == "finished"]
    records = [json.loads((folder / "runs" / r["name"] / "run.json").read_text("utf-8")) for r in finished]
    heads = _heads(folder, [r["name"] for r in finished], records)
    varied = list(form["vary"])
    head = ["arm", *varied, "seeds"]
    for metric in study.metrics:
        head += [metric, f"less {form['baseline']}, 95 % interval"]
    table = [[*head, "zeros of all parameters", "of the head"]]
    for row in rows:
        line = [row["arm"], *row["values"].values(), f"{row['finished']}"]
        for metric in study.metrics:
            line += [_spread(row["metrics"].get(metric)), _difference(row["differences"].get(metric))]
        table.append([*line, f"{row['sparsity']['all_parameters']['mean']:.1%}", heads.get(row["arm"], "")])
    dense = [r["metrics"][m] for r in records for m in (f"stage.dense.{study.metrics[0]}",) if m in r["metrics"]]
    minutes = statistics.median(r["seconds"] for r in finished) / 60  # one that was held up does not count
    told = _markdown(table)
    told += (
        f"\n{plural(len(finished), 'run')}, {minutes:.1f} minutes of training in the median, on {_machine(records)}."
    )
    if dense:
        told += f" The dense models that they start from: {study.metrics[0]} {min(dense):.1%} to {max(dense):.1%}."
    picture = folder / "plots" / f"{study.metrics[0]}-against-zeros-of-all-parameters.svg"
    if picture.is_file() and len(rows) > 1:
        PICTURES.mkdir(exist_ok=True)
        shutil.copyfile(picture, PICTURES / f"{study.name}.svg")
        told += f"\n\n![{study.metrics[0]} against zeros of all parameters](evidence/{study.name}.svg)"
    return told + "\n"


def _heads(folder: Path, names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Arm -> the least and the most that its runs left zero of the head, which some arms prune and some do not."""
    plans = [json.loads((folder / "runs" / name / "recipe/plan.json").read_text("utf-8")) for name in names]
    targets = [t for p in plans for s in p["stages"] for prune in s["prunes"] for t in prune["targets"]]
    head = {t["name"] for t in targets if t["purpose"] == "head"}
    found: dict[str, list[float]] = {}
    for name, record in zip(names, records, strict=True):
        zeros = record["sparsity"]["tensors"]
        found.setdefault(name.partition("/")[0], []).extend(zeros[n] for n in head)
    ends = {arm: (f"{min(z):.1%}", f"{max(z):.1%}") for arm, z in found.items() if z}
    return {arm: low if low == high else f"{low} to {high}" for arm, (low, high) in ends.items()}


def _run(experiment: Run, out: Path) -> str | None:
    path = out / experiment.name / "run.json"
    record = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if record.get("status") != "finished":
        return None
    metrics = ", ".join(f"{n} {v:.1%}" for n, v in record["metrics"].items() if not n.startswith("stage."))
    return f"{metrics}, trained on {_machine([record])}.\n"


def _machine(records: Sequence[Mapping[str, Any]]) -> str:
    kinds = {f"{r['environment']['device']}, torch {r['environment']['torch']}" for r in records}
    return " and ".join(sorted(kinds)).replace("(1 threads)", "(1 thread)")  # as records had it once


def _spread(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    return f"{100 * found['mean']:.1f}" + (f" ± {100 * found['sd']:.1f}" if found["sd"] is not None else "")


def _difference(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    interval = f" [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]" if found["low"] is not None else ""
    return f"{100 * found['mean']:+.1f}{interval}"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
