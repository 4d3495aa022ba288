"""Tables of latencies of a tiny model, made up: a layer takes 1 ms and 4 ms more with all its neurons, all else takes 2 ms."""

from pathlib import Path
from typing import Any

from recipelang.planning import processor
from recipelang.planning.facts import read_model_facts
from recipelang.planning.latencies import Latencies, shape_digest
from recipelang.storage.writing import write_json


def table_of(folder: Path, task: str = "question_answering", **changes: Any) -> Latencies:
    facts = read_model_facts(folder, task)
    ffn = facts.config["intermediate_size"]
    sizes = [ffn // 4, ffn // 2, ffn]
    form: dict[str, Any] = {
        "model": "model",
        "family": facts.family,
        "task": task,
        "config": shape_digest(facts.config),
        "runtime": "torch",
        **dict.fromkeys(("batch", "threads"), 1),
        "length": 32,
        "rounds": 6,
        "seed": 0,
        "clock": "processor time",
        "machine": processor.name(),
        "versions": {"torch": "2"},
        "rows": ({"axes": ("ffn",), "sizes": tuple((n,) for n in sizes)},),
        "fixed": (0.002,) * 3,
        "layer": tuple(0.001 + 0.004 * n / ffn for n in sizes),
    }
    return Latencies.model_validate({**form, **changes})


def write_table(path: Path, folder: Path, **changes: Any) -> None:
    write_json(path, table_of(folder, **changes).model_dump(mode="json"))
