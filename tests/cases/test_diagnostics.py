"""What the user sees of every diagnostic. Write the cases again with `RECIPELANG_UPDATE_CASES=1 pytest tests/cases`.

One `diagnostics/CODE-some-words.case` is one test: lines `key: value`, an empty line, the
recipe, a line `-----`, and what the command prints to the error stream. A line `# NAME.recipe`, or
`# NAME.yaml`, begins another file beside the recipe. The keys:

    command: plan a.recipe -p x=1    the command line; `validate a.recipe` unless given
    file NAME: TEXT                  a file of one line beside the recipe
    repeat: N TEXT                   the recipe goes on with N times this text
    given: CIRCUMSTANCE              one of `CIRCUMSTANCES`
    without: NAME                    this file is missing

Of the advice of lint rules a case shows what it is about: the rule of its name, and every code in the text that it
already has below `-----`. So a new rule that also finds something in these recipes leaves them as they are.

The command `attach a.recipe NAME=VALUE` is `recipelang.attach` in a loop of one's own, for the model beside the recipe.

`plan`, `run`, `resume` and `attach` find a tiny `model`, `train.json` and `dev.json` beside the recipe.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from accelerate.tracking import GeneralTracker

from recipelang.cli.main import main
from recipelang.engine.trackers import _CLIENTS
from recipelang.lint import check
from recipelang.planning import prepared
from recipelang.source import Diagnostic
from recipelang.source.codes import codes
from recipelang.storage import unpacking
from tests.cases.finished import FINISHED
from tests.cases.resumed import RESUMED
from tests.cases.streamed import STREAMED
from tests.cases.unsound_models import UNSOUND
from tests.decoders import CHATML
from tests.latency_tables import write_table
from tests.model_configs import walk_here
from tests.pretended_export import pretend_export

FOLDER = Path(__file__).parent / "diagnostics"
CASES = sorted(FOLDER.glob("*.case"))
UPDATE = "RECIPELANG_UPDATE_CASES" in os.environ


@dataclass
class Case:
    keys: list[tuple[str, str]]
    recipe: str
    shown: str

    def value(self, key: str, default: str = "") -> str:
        return dict(self.keys).get(key, default)


def read(path: Path) -> Case:
    before, _, shown = path.read_text("utf-8").partition("\n-----\n")
    keys = []
    while match := re.match(r"([a-z]+(?: \S+)?): (.*)(?:\n|$)", before):
        keys.append((match[1], match[2]))
        before = before[match.end() :]
    return Case(keys, before.removeprefix("\n") if keys else before, shown)


def write(path: Path, case: Case) -> None:
    head = "".join(f"{key}: {value}\n" for key, value in case.keys)
    path.write_text(f"{head}\n{case.recipe}\n-----\n{case.shown}" if head else f"{case.recipe}\n-----\n{case.shown}")


def latin(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("a.recipe").read_text("utf-8")
    Path("a.recipe").write_bytes(text.encode("latin-1"))


def disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cache").write_text("a file in its place", "utf-8")
    monkeypatch.setenv("RECIPELANG_CACHE", str(Path("cache").resolve()))
    monkeypatch.setattr(prepared, "LEAST", 0)


def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPELANG_PROCESSES", "two")


def memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("recipelang.engine.stages.train", train)


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("recipelang.cli.commands.validate.told_of_study", read)


def no_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.cli.machine.sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))


def folder_of_odd_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.fsdecode(b"gr\xf6sse"))
    shutil.copytree(Path.cwd(), folder)
    monkeypatch.chdir(folder)


def weights_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate("model/model.safetensors", 20_000)


def weights_are_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model/model.safetensors").rename("model/pytorch_model.bin")


def latencies(**changes: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """A table `latencies.json` of the model beside the recipe."""

    def write(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("recipelang.planning.processor.name", lambda: "Good Processor")
        write_table(Path("latencies.json"), Path("model"), **changes)

    return write


def teacher_of_three_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import make_model

    make_model(Path("teacher"), labels=3)


def teacher_of_more_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import make_model

    make_model(Path("teacher"), words=30)


def teacher_of_more_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import make_model

    make_model(Path("teacher"), heads=4)


def run_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run stopped after its first stage, whose data changed afterwards."""
    from recipelang.engine.records import Interrupted

    def finish(*_: object) -> None:
        raise Interrupted(15, Path("out/checkpoints"))

    with monkeypatch.context() as patched:
        patched.setattr("recipelang.engine.run.finish", finish)
        execute(["run", "a.recipe", "-o", "out"], patched)


def data_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    run_was_interrupted(monkeypatch)
    shutil.copyfile("dev.json", "train.json")


def checkpoint_of_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    import json

    run_was_interrupted(monkeypatch)
    (state,) = Path("out/checkpoints").glob("*/state.json")
    body = json.loads(state.read_text())
    state.write_text(json.dumps({**body, "behaviour": "sha256:" + 64 * "0"}))
    manifest = state.with_name("manifest.json")
    digests = json.loads(manifest.read_text())
    digests["state.json"] = hashlib.sha256(state.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(digests))


def run_of_an_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    run_was_interrupted(monkeypatch)
    plan = Path("out/recipe/plan.json")
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "format_version": "1.0"}))


def model_cannot_recompute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.BertForQuestionAnswering.supports_gradient_checkpointing", False)


def kept_scores_are_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run of the recipe kept them."""
    from recipelang.api.running import run
    from recipelang.engine.kept_scores import KIND
    from recipelang.planning.remembered import cache_folder

    monkeypatch.setenv("RECIPELANG_CACHE", str(Path.cwd() / "cache"))
    run("a.recipe", out="earlier")
    (kept,) = (cache_folder() / KIND).glob("*.safetensors")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def model_of_two_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head of the model beside is that of a classification."""
    from safetensors.torch import load_file, save_file

    weights, config = Path("model/model.safetensors"), Path("model/config.json")
    named = {n.replace("qa_outputs", "classifier"): t for n, t in load_file(weights).items()}
    save_file(named, weights, {"format": "pt"})
    classes = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "bad", "1": "good"}}
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), **classes}), "utf-8")


def model_without_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file, save_file

    weights = Path("model/model.safetensors")
    save_file({n: t for n, t in load_file(weights).items() if "qa_outputs" not in n}, weights, {"format": "pt"})


def weights_in(dtype: str) -> Callable[[pytest.MonkeyPatch], None]:
    """The weights of the model, stored in another dtype."""

    def convert(monkeypatch: pytest.MonkeyPatch) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        weights = Path("model/model.safetensors")
        save_file({n: t.to(getattr(torch, dtype)) for n, t in load_file(weights).items()}, weights, {"format": "pt"})

    return convert


def cpu_without(precision: str) -> Callable[[pytest.MonkeyPatch], None]:
    def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("recipelang.planning.stages.emulates", lambda asked: asked == precision)

    return set_up


def model_has_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn
    from transformers import BertForQuestionAnswering as Bert

    init = Bert.__init__

    def more(self: Bert, config: object) -> None:
        init(self, config)
        self.adapter = nn.Linear(4, 4)

    monkeypatch.setattr(Bert, "__init__", more)


# ------------------------------------------------------------------- shared recipes
def publish(monkeypatch: pytest.MonkeyPatch, place: str = "shared") -> None:
    execute(["push", "a.recipe", place], monkeypatch)


def another_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch)
    Path("a.recipe.lock").unlink()
    text = Path("a.recipe").read_text("utf-8")
    Path("a.recipe").write_text(text.replace("batch = 8", "batch = 4"), "utf-8")


def published_and_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch)
    for blob in Path("shared/blobs/sha256").iterdir():
        blob.write_bytes(blob.read_bytes().replace(b"magnitude", b"movement_"))


def published_with_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.artifact.contents import File, pack
    from recipelang.artifact.layout import write_layout
    from recipelang.cli.packed import packed

    made = packed("a.recipe").artifact
    kinds = {d.title: d.media_type for d in made.manifest.layers}
    files = [File(t, d.replace(b"90%", b"91%"), kinds[t]) for t, d in made.files().items()]
    other = pack(files, made.blobs[made.spec], made.manifest.annotations)
    write_layout(other, Path("shared"), "1.0.0")


def pulled_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.artifact import cache
    from recipelang.artifact.address import parse_reference
    from recipelang.cli.packed import packed

    monkeypatch.setenv("RECIPELANG_CACHE", "own-cache")
    cache.keep(packed("a.recipe").artifact, parse_reference("hf://owner/tiny"))


def data_changed_since_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    execute(["lock", "a.recipe"], monkeypatch)
    shutil.copyfile("dev.json", "train.json")


def lock_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.storage import writing

    real = writing._made

    def made(part: Path, *more: int) -> BinaryIO:
        if part.name.startswith(".a.recipe.lock."):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(part, *more)

    # not `write_text`: a module that is first loaded meanwhile would keep this one for ever
    monkeypatch.setattr(writing, "_made", made)


def base_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.artifact.contents import File, pack
    from recipelang.artifact.registry import Registry

    first, second = (
        pack([File("v.recipe", f'recipe 1 "values"\nlet warm = {n} epochs\n'.encode())], None, {}) for n in (2, 3)
    )
    monkeypatch.setenv("RECIPELANG_CACHE", "own-cache")
    monkeypatch.setattr(Registry, "pull", lambda *_: first)
    monkeypatch.setattr(Registry, "resolve", lambda *_: second.digest)
    with monkeypatch.context() as before:
        before.setattr(Registry, "resolve", lambda *_: first.digest)
        execute(["lock", "a.recipe"], before)


def registry_wants_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.artifact.http import Answer, Http

    challenge = {"www-authenticate": 'Basic realm="x"'}
    monkeypatch.setenv("DOCKER_CONFIG", "nowhere")
    monkeypatch.setattr(Http, "send", lambda *_, **__: Answer(401, challenge, b""))


def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.artifact.http.PAUSE", 0.0)


def model_in_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("a.recipe").read_text("utf-8")
    Path("a.recipe").write_text(text.replace('"model"', '"~/model"'), "utf-8")
    monkeypatch.setenv("HOME", str(Path.cwd()))


def recipe_is_called_con(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.recipe").rename("con.recipe")


def plugin_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves it, without pip."""
    site = Path("site").absolute()
    shutil.copytree(Path(__file__).parents[1] / "plugin_sample" / "acme_prune", site / "acme_prune")
    info = site / "acme_prune-2.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-prune\nVersion: 2.1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[recipelang.methods]\nacme.topk = acme_prune.scores:TopK\n", "utf-8")
    (info / "RECORD").write_text("acme_prune/recipelang-methods.toml,,\n", "utf-8")
    monkeypatch.syspath_prepend(str(site))


def plugin_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin_is_installed(monkeypatch)
    path = Path("site/acme_prune/recipelang-methods.toml")
    path.write_text(path.read_text("utf-8").replace('looks_at = "weights"', 'looks_at = "stars"'), "utf-8")


def mixture_that_avoids_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.mixtures import make_avoiding

    shutil.rmtree("model")
    make_avoiding(Path.cwd())


def mixture_in_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.mixtral.modeling_mixtral import MixtralExperts

    mixture_that_avoids_experts(monkeypatch)
    monkeypatch.setattr(MixtralExperts, "forward", lambda self, states, chosen: states)


def two_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.model_table import make

    shutil.rmtree("model")
    make(Path.cwd(), "t5", "text_to_text")


def wrong_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.migrate.targets.as_roles", lambda chosen, tensors: "@attention")


def instruct(template: str | None) -> Callable[[pytest.MonkeyPatch], None]:
    """An instruct model in place of the other one, and two chats beside it."""

    def make(monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.decoders import chat, make_instruct_folder

        shutil.rmtree("model")
        make_instruct_folder(Path("model"), template)
        chats = [chat("the gold of peru", "a city", "who", "the river"), chat("the gold " * 9, "of peru")]
        text = "".join(json.dumps({"messages": c}) + "\n" for c in chats)
        for name in ("train.jsonl", "dev.jsonl"):
            if not Path(name).exists():
                Path(name).write_text(text, "utf-8")

    return make


def many_languages(**settings: object) -> Callable[[pytest.MonkeyPatch], None]:
    """A model that translates in place of the other one."""

    def make(monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.languages import make_model

        shutil.rmtree("model")
        make_model(Path("model"), **settings)

    return make


SHORT = "{% for m in messages %}{{ m.content }} {% endfor %}"


def shards(*names: str) -> Callable[[pytest.MonkeyPatch], None]:
    def write_them(monkeypatch: pytest.MonkeyPatch) -> None:
        Path("data").mkdir()
        for name in names:
            Path("data", name).write_text('{"sentence": "a", "label": 0}\n{"sentence": "b", "label": 1}\n', "utf-8")

    return write_them


def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data").mkdir()
    for name, labels in {"web": ("neg", "neutral", "pos"), "made": ("negative", "positive")}.items():
        rows = (json.dumps({"sentence": "a", "label": label}) + "\n" for label in labels)
        Path(f"data/{name}.jsonl").write_text("".join(rows), "utf-8")


def bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    shards("part-0.jsonl")(monkeypatch)
    monkeypatch.setattr(unpacking, "_BESIDE", 2**20)
    Path("data/bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 5_000_000, 9))


def slurm_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster whose `sbatch` knows no partition of this name."""
    Path("bin").mkdir()
    said = 'echo "sbatch: error: invalid partition specified: big" >&2; exit 1'
    for name, script in {"sbatch": said, "srun": "exit 0", "sacct": "exit 0"}.items():
        Path("bin", name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path('bin').absolute()}{os.pathsep}{os.environ['PATH']}")


def second_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process sees no output folder; all that it is asked otherwise it answers as the first one does."""
    monkeypatch.setattr("recipelang.api.running.alone", lambda: False)
    monkeypatch.setattr("recipelang.engine.start.socket.gethostname", lambda: "node1")

    def each(value: object) -> list[object]:
        return [value, (False, "node2")] if value == (True, "node1") else [value]

    monkeypatch.setattr("recipelang.processes.each", each)


def exporter_refuses(monkeypatch: pytest.MonkeyPatch, *, always: bool = True) -> None:
    def refuse(model: object, name: str, weights: bool = True) -> None:
        if always or weights:
            raise NotImplementedError("No ONNX function found for aten.special_polygamma.default")

    monkeypatch.setattr("recipelang.engine.exporting._exported", refuse)


def nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise RuntimeError("the runtime has no kernel for this processor")

    monkeypatch.setattr("recipelang.engine.figures.timed", refuse)


def no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.planning.formats.find_spec", lambda name: None)


def no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.planning.tracking.find_spec", lambda name: None)


def tracker_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(GeneralTracker):
        name, requires_logging_directory, tracker = "gone", False, None

        def start(self) -> None:
            raise ConnectionError("http://me:secret@localhost:5000 refused the connection")

    monkeypatch.setattr("recipelang.planning.tracking.find_spec", lambda name: object())
    monkeypatch.setitem(_CLIENTS, "mlflow", lambda *arguments: Gone())


def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipelang.study.search.find_spec", lambda name: None)


CIRCUMSTANCES = {
    "no package of a search": no_search,
    "no package of a tracker": no_tracker,
    "a tracker whose server is gone": tracker_is_gone,
    "a second machine with a folder of its own": second_machine,
    "a cluster without the partition": slurm_refuses,
    "a table of latencies": latencies(),
    "a table of latencies of another processor": latencies(machine="Other Processor"),
    "a table of latencies of another model": latencies(config="sha256:" + "0" * 64),
    "a table of latencies in ONNX Runtime": latencies(runtime="onnx"),
    "a table of latencies of a smaller model": latencies(rows=({"axes": ("ffn",), "sizes": ((8,), (16,), (32,))},)),
    "an exporter that refuses the model": exporter_refuses,
    "an exporter that refuses the weights": lambda monkeypatch: exporter_refuses(monkeypatch, always=False),
    "an export that computes something else": pretend_export,
    "a runtime that cannot be timed": nothing_is_timed,
    "no package of ONNX": no_onnxruntime,
    "shards with a gap in `data`": shards("part-0.jsonl", "part-1.jsonl", "part-3.jsonl"),
    "sources that name their labels differently in `data`": sources,
    "shards of two formats in `data`": shards("part-0.jsonl", "part-1.csv"),
    "a bomb in `data`": bomb,
    "a model of two languages": many_languages(),
    "a model of two languages that writes English": many_languages(tgt_lang="ro_RO", forced="en_XX"),
    "an instruct model": instruct(CHATML),
    "an instruct model without a template": instruct(None),
    "a template that takes no system message": instruct(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + SHORT
    ),
    "a template without end": instruct(SHORT + "{{ 'a' * 10 ** 6 }}"),
    "a template that drops earlier answers": instruct(
        "{% for m in messages %}{% if loop.last or m.role != 'assistant' %}{{ m.content }} {% endif %}{% endfor %}"
    ),
    "a mixture whose router avoids two experts": mixture_that_avoids_experts,
    "a mixture that shows no outputs of experts": mixture_in_another_form,
    "a model of an encoder and a decoder": two_stacks,
    "a migration that finds the wrong tensors": wrong_tensors,
    "the recipe is called `con.recipe`": recipe_is_called_con,
    "another recipe is published in `shared`": another_is_published,
    "a recipe is published in `shared`, and a file of it damaged": published_and_damaged,
    "a recipe is published in `shared`, with other files than its spec": published_with_other_files,
    "the recipe was pulled as `hf://owner/tiny`": pulled_from_the_hub,
    "the data changed since the lock": data_changed_since_the_lock,
    "no lock can be written": lock_cannot_be_written,
    "a base moved since the lock": base_moved,
    "a registry that wants a login": registry_wants_a_login,
    "no patience": no_patience,
    "the recipe names its model in a home folder": model_in_a_home,
    "the model has a layer of somebody's own": model_has_an_adapter,
    "a model without a head": model_without_a_head,
    "acme-prune 2.1.0 is installed": plugin_is_installed,
    "acme-prune 2.1.0 is installed, and its declaration damaged": plugin_is_damaged,
    "scores that an earlier run kept, damaged": kept_scores_are_damaged,
    "a model of two classes": model_of_two_classes,
    "a model that cannot recompute": model_cannot_recompute,
    "a CPU without bf16": cpu_without("bf16"),
    "a CPU without fp16": cpu_without("fp16"),
    "a CPU that computes in 16 bits": cpu_without(""),
    "weights stored in bf16": weights_in("bfloat16"),
    "weights stored in fp16": weights_in("float16"),
    "the recipe is saved as Latin-1": latin,
    "the disk is full": disk_is_full,
    "a file is in the place of the cache": no_cache,
    "`RECIPELANG_PROCESSES` is a word": two_processes,
    "memory is short": memory_is_short,
    "no memory": no_memory,
    "a Python without docstrings": no_docstrings,
    "a folder whose name is not UTF-8": folder_of_odd_bytes,
    "the weights are cut off": weights_are_cut,
    "the weights are pickled": weights_are_pickled,
    "a teacher of three labels": teacher_of_three_labels,
    "a teacher of more words": teacher_of_more_words,
    "a teacher of more heads": teacher_of_more_heads,
    "the data of an interrupted run changed": data_changed,
    "a checkpoint of another run": checkpoint_of_another_run,
    "a run of an older version was interrupted": run_of_an_older_version,
    **FINISHED,
    **UNSOUND,
    **RESUMED,
    **STREAMED,
}


def attach_loop(file: str, *options: str) -> None:
    """In a program the finding stands under a traceback, or is a warning."""
    import torch
    from transformers import AutoModelForQuestionAnswering

    from recipelang import attach
    from recipelang.engine.models import quiet
    from recipelang.loops.notices import RecipeWarning
    from recipelang.source import RecipeError

    with quiet():
        model = AutoModelForQuestionAnswering.from_pretrained("model")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    given = dict(o.split("=") for o in options)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", RecipeWarning)
        try:
            attach(file, model, optimizer, steps_per_epoch=6, **given)
        except RecipeError as error:
            print(error, file=sys.stderr)
    for warning in warned:
        print(str(warning.message).strip("\n"), file=sys.stderr)


def execute(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if arguments[0] == "attach":
        return attach_loop(*arguments[1:])
    monkeypatch.setattr("sys.argv", ["recipelang", *arguments])
    with pytest.raises(SystemExit):
        main()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    walk_here(monkeypatch)
    return tmp_path


def prepare(case: Case, here: Path, tiny: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiny:
        shutil.copytree(tiny, here, dirs_exist_ok=True)
    times, _, text = case.value("repeat", "0 ").partition(" ")
    recipe, *others = re.split(r"^# (\S+\.(?:recipe|yaml))\n", case.recipe, flags=re.M)
    for name, other in zip(others[::2], others[1::2], strict=True):
        (here / name).write_text(other, "utf-8")
    (here / "a.recipe").write_text(f"{recipe}\n" + int(times) * text.replace("\\n", "\n"), "utf-8")
    for key, value in case.keys:
        match key.split():
            case ["file", name]:
                (here / name).parent.mkdir(parents=True, exist_ok=True)
                (here / name).write_text(value + "\n", "utf-8")
            case ["without"]:
                (here / value).unlink()
            case ["given"]:
                CIRCUMSTANCES[value](monkeypatch)
            case ["command" | "repeat"]:
                pass
            case _:
                raise ValueError(f"unknown key `{key}`")


def code_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def only_advice(wanted: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings of rules are those of these codes, whatever other rules there are."""
    every = check._findings

    def found(*arguments: Any) -> Iterator[Diagnostic]:
        return (d for d in every(*arguments) if d.code in wanted)

    monkeypatch.setattr(check, "_findings", found)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_diagnostic_is_shown_as_written(path, here, monkeypatch, capsys, request):
    case = read(path)
    only_advice({code_of(path), *re.findall(r"\bL\d{3}\b", case.shown)}, monkeypatch)
    command = shlex.split(case.value("command", "validate a.recipe"))
    tiny = request.getfixturevalue("tiny") if command[0] not in ("validate", "migrate") else None
    prepare(case, here, tiny, monkeypatch)
    capsys.readouterr()
    execute(command, monkeypatch)
    shown = capsys.readouterr().err.replace(str(here.resolve()), "/here").rstrip("\n") + "\n"
    shown = re.sub(r"sha256:[0-9a-f]{12}", "sha256:0123456789ab", shown)
    # of L000, what grows with every new rule; `tests/cli/test_lint.py` counts them
    shown = re.sub(r"\b\d+ rules could not be checked", "11 rules could not be checked", shown)
    shown = re.sub(r"(not checked: L\d{3}, L\d{3}),.*", r"\1, and others", shown)
    if UPDATE:
        case.shown = shown
        write(path, case)
    write_it = f"`RECIPELANG_UPDATE_CASES=1 pytest -n 0 tests/cases -k {path.stem}` writes it: read the difference"
    assert shown == case.shown, write_it
    assert f"[{code_of(path)}]" in shown


def test_every_code_has_a_case():
    assert sorted(set(codes()) - {code_of(path) for path in CASES}) == []


def test_every_case_is_of_a_code():
    assert [path.name for path in CASES if code_of(path) not in codes()] == []


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_headline_is_short_and_has_no_final_stop(path):
    for headline in re.findall(r"^(?:error|warning)\[\w+\]: (.*)", read(path).shown, re.M):
        assert len(re.sub(r"`[^`]*`", "code", headline).split()) <= 12
        assert not headline.endswith(".")
        assert not headline[0].isupper()
