"""Level 1: the files of a run's folder against its statement, and all of them against each other.

Nothing is believed because it is written down. What a run writes after its statement, its page and its plots, is
drawn again from the files that the statement names, and has to be the same.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipelang.engine.leavings import written_by_runs
from recipelang.engine.position import Session, environments
from recipelang.engine.records import read_plan, read_record
from recipelang.engine.run_record import measured_on, understood
from recipelang.engine.sessions import attributes, told_claims
from recipelang.engine.statement import lock_digest, read_origin, run_digest, stamps
from recipelang.engine.variables import deciding
from recipelang.planning.belongings import belongings
from recipelang.planning.facts import model_digest
from recipelang.planning.safetensors_header import INDEX, weight_files
from recipelang.planning.types import FORMAT_VERSION, Plan
from recipelang.provenance.carried import ORIGIN, PORTABLE, SOURCES, SPEC
from recipelang.provenance.checks import Verified
from recipelang.provenance.compiled import Compiled, check_dtype, compiled
from recipelang.provenance.exported import written
from recipelang.provenance.recheck import canonical, evaluated
from recipelang.provenance.recorded import check_recorded
from recipelang.provenance.replanned import difference
from recipelang.provenance.safe_json import link, read_bytes, read_object
from recipelang.provenance.stage_models import check_stage_files
from recipelang.provenance.stamp import read_stamp
from recipelang.provenance.statement import SIGNATURE, Statement, read_statement, statement_path
from recipelang.provenance.typed import NotKept, check_typed, comes_to
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import first_n, listed, plural, size_text
from recipelang.spec.canonical import digest
from recipelang.spec.harness import HARNESS
from recipelang.spec.recipe import Recipe
from recipelang.storage.reading import read_bytes as read_whole, sha256
from recipelang.syntax import MAX_BYTES
from recipelang.tasks import task_of
from recipelang.version import __version__

#: not named by a statement, and yet read by those who load a folder, wherever they lie
LOADED = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".gguf", ".onnx", ".ot",
    ".npz", ".npy", ".joblib", ".pb", ".tflite", ".py", ".pyc", ".so", ".json", ".model", ".txt", ".jinja", ".xml",
    ".zip", ".tar", ".gz", ".tgz", ".7z", ".whl", ".engine", ".plan", ".llamafile", ".ggml", ".mlmodel", ".keras", ".mar",
    ".nemo", ".tiktoken", ".spm", ".bpe", ".vocab", ".dll", ".dylib", ".pyd", ".sh", ".exe",
)  # fmt: skip
#: of a config: what decides how weights are computed with, and no run changes; `auto_map` names code
_UNCHANGED = frozenset((
    "auto_map", "model_type", "hidden_act", "activation_function", "hidden_activation", "activation", "num_attention_heads",
    "num_key_value_heads", "n_head", "n_heads", "head_dim", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps",
    "max_position_embeddings", "n_positions", "position_embedding_type", "type_vocab_size", "is_decoder",
))  # fmt: skip
#: written after the statement, and drawn again
_PAGE, _PLOTS = "report.html", "plots"
_MAX_PAGE = 256 * 2**20
_TAKE_AGAIN = "get the folder again from where it was published"
_CHANGED = "the recipe or the statement was changed after the run"


def verify_digests(folder: Path, done: Verified) -> Statement | None:
    """Files, recipe, plan, record and headers against the statement, which is given back when it can be used."""
    found: list[Statement] = []

    def read() -> str:
        found.append(read_statement(folder))
        status = found[0].predicate["status"]
        if status != "finished":
            raise fail("E140", f"the run of this folder did not finish: its statement says `{line_of(status)}`")
        return f"of `{line_of(found[0].predicate['name'])}`, {plural(len(found[0].files), 'file')}"

    done.run(1, "statement", read)
    if not found:
        return None
    said = done.statement = found[0]
    done.run(1, "files", lambda: _files(folder, said))
    done.run(1, "others", lambda: _others(folder, said, done))
    done.run(1, "recipe", lambda: _recipe(folder, said))
    done.run(1, "plan", lambda: _plan(folder, said, done))
    done.run(1, "tokenizer", lambda: _tokenizer(folder, said))
    done.run(1, "record", lambda: _record(folder, said))
    done.run(1, "headers", lambda: _headers(folder, said))
    done.run(1, "stages", lambda: check_stage_files(folder, said, plan_of(folder)))
    if (folder / "recipe" / "recipe.lock").exists() or said.digests.get("lock") is not None:
        done.run(1, "lock", lambda: _lock(folder, said))
    done.run(1, "sources", lambda: _sources(folder, said, done))
    _drawn(folder, said, done)
    if said.predicate.get("rehearsal") is not None:
        steps = said.predicate["rehearsal"]
        done.notes.append(
            f"a rehearsal: the run was limited to {first_n(steps, 'step')} of every stage, and no claim was checked"
        )
    return said


# ------------------------------------------------------------------------- files
def _files(folder: Path, said: Statement) -> str:
    bad: list[Diagnostic] = []
    total = 0
    for name, wanted in said.files.items():
        try:
            path = inside(folder, name)
            total += path.stat().st_size
            if sha256(path, inside=folder) != wanted:
                message = f"`{line_of(name)}` is not the file that the run wrote"
                bad.append(fail("E136", message, notes=["its sha256 differs"], help=_TAKE_AGAIN).diagnostics[0])
        except RecipeError as error:
            bad += error.diagnostics
    for name in said.files:
        if not written_by_runs(name):
            notes = ["the statement lists this file, but no run writes one"]
            message = f"`{line_of(name)}` does not belong to this run"
            bad.append(fail("E136", message, notes=notes, help=_TAKE_AGAIN).diagnostics[0])
    kept = ("plan.json", "effective.recipe", PORTABLE, SPEC, ORIGIN)
    for name in ("config.json", "run.json", *(f"recipe/{n}" for n in kept)):
        if name not in said.files:
            bad.append(fail("E136", f"the statement does not name `{name}`", help=_CHANGED).diagnostics[0])
    if bad:
        raise RecipeError(bad)
    return f"{plural(len(said.files), 'file')}, {size_text(total)}, all match the statement"


def inside(folder: Path, name: str) -> Path:
    """A regular file of the folder, reached through no link. E136 when it is missing, E139 for a link."""
    path = folder
    for part in name.split("/"):
        path = path / part
        if os.path.islink(path):
            raise link(path)
    if not os.path.isfile(path):
        raise fail("E136", f"`{line_of(name)}` is missing", help=_TAKE_AGAIN)
    return path


def _others(folder: Path, said: Statement, done: Verified) -> str:
    """Every file that the statement does not name: a finding where somebody would load it, else named."""
    known = {*said.files, *(p.relative_to(folder).as_posix() for p in _of_statement(folder)), _PAGE, ".lock"}
    bad: list[Diagnostic] = []
    more: list[str] = []
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            bad += link(path).diagnostics
        elif name in known or (name.startswith(f"{_PLOTS}/") and path.suffix in (".svg", ".png")):
            continue
        elif not path.is_file() or ending(name) in LOADED or name.startswith(("checkpoints/", "recipe/")):
            message = f"`{line_of(name)}` does not belong to this run"
            note = "the statement does not list it, but a program that loads this folder may read it"
            bad.append(fail("E136", message, notes=[note], help="move it elsewhere").diagnostics[0])
        else:
            more.append(name)
    if bad:
        raise RecipeError(bad)
    if more:
        done.notes.append(f"not covered by the statement: {listed([line_of(n) for n in more], mark='')}")
        done.unchecked.append(f"{plural(len(more), 'file')} that the run did not write")
    return "no other file claims to belong to this run"


def ending(name: str) -> str:
    """As a file system or a reader may take it: without case, outer blanks and forms of one letter."""
    return Path(unicodedata.normalize("NFKC", name).rstrip(" .\t")).suffix.lower()


def walk(folder: Path) -> list[Path]:
    """Every file and link below, without following one."""
    found = []
    for here, folders, names in os.walk(folder, followlinks=False):
        found += [Path(here, n) for n in names]
        found += [Path(here, n) for n in folders if Path(here, n).is_symlink()]
    return sorted(found)


def _of_statement(folder: Path) -> list[Path]:
    path = statement_path(folder)
    return [path, path.with_name(SIGNATURE)]


# ---------------------------------------------------------------- recipe and plan
def _recipe(folder: Path, said: Statement) -> str:
    """The recipe, the canonical form and the digest name one experiment, and the rest of `recipe/` agrees."""
    spec = said.digests["spec"]
    form = read_bytes(inside(folder, f"recipe/{SPEC}"))
    if f"sha256:{hashlib.sha256(form).hexdigest()}" != spec:
        raise _other(f"`recipe/{SPEC}` belongs to another experiment")
    if plan_of(folder).format_version != FORMAT_VERSION:
        notes = ["the meaning of learning rates and weight decay has changed since, so the digests differ"]
        help = "verify the run with the release that made it, named in `run.json`"
        raise fail("E138", "the run was made by another version of recipelang", notes=notes, help=help)
    recipe = recipe_of(folder)
    if canonical(recipe, said.predicate["contents"]).encode("utf-8", "surrogatepass") != form:
        raise _other(f"`recipe/{PORTABLE}` belongs to another experiment")
    origin = _origin(folder)
    for field in ("contents", "parameters", "references"):
        if origin.get(field) != said.predicate.get(field):
            raise _other(f"`recipe/{ORIGIN}` names different {field}")
    if (origin.get("name"), origin.get("version")) != (recipe.name, recipe.meta.version):
        raise _other(f"`recipe/{ORIGIN}` differs from the recipe in name or version")
    if (said.predicate["name"], said.predicate.get("version")) != (recipe.name, recipe.meta.version):
        raise _other("the statement differs from the recipe in name or version")
    return f"evaluates to spec {spec.removeprefix('sha256:')[:8]}"


def _origin(folder: Path) -> dict[str, Any]:
    inside(folder, f"recipe/{ORIGIN}")
    return read_origin(folder)


def _sources(folder: Path, said: Statement, done: Verified) -> str:
    """What was typed, and what `resume` reads, come to the experiment that the statement names."""
    origin = _origin(folder)
    contents, spec = said.predicate["contents"], said.digests["spec"]
    kept = evaluated(_text(folder, "recipe/effective.recipe"), "recipe/effective.recipe")
    if comes_to(kept, origin, contents) != spec:
        raise _other("`recipe/effective.recipe` belongs to another experiment")
    start = f"recipe/{SOURCES}/"
    texts = {n.removeprefix(start): _text(folder, n) for n in said.files if n.startswith(start)}
    if not texts:
        raise fail("E136", "the statement lists no source file of the recipe", help=_CHANGED)
    starts = sessions_of(folder)
    edited = bool(starts) and starts[0].spec != spec
    try:
        check_typed(texts, kept.name, origin, contents, starts[0].spec if edited else spec)
    except NotKept as why:
        done.unchecked.append(f"the recipe as written ({why})")
        return "the recipe that `resume` reads has this spec digest"
    except RecipeError:
        if not edited:
            raise
        done.unchecked.append("the recipe as written (the run was resumed with other claims)")
        return "the recipe that `resume` reads has this spec digest"
    return "the recipe as written and the one that `resume` reads have this spec digest"


def _text(folder: Path, name: str) -> str:
    return read_bytes(inside(folder, name), MAX_BYTES).decode("utf-8", "replace")


def sessions_of(folder: Path) -> list[Session]:
    return [Session.model_validate(s) for s in read_record(folder).get("sessions", [])]


def recipe_of(folder: Path) -> Recipe:
    data = read_bytes(inside(folder, f"recipe/{PORTABLE}"))
    return evaluated(data.decode("utf-8", "replace"), f"recipe/{PORTABLE}")


def plan_of(folder: Path) -> Plan:
    inside(folder, "recipe/plan.json")
    return read_plan(folder)


def compiled_of(folder: Path) -> Compiled:
    return compiled(folder, recipe_of(folder))


def _plan(folder: Path, said: Statement, done: Verified) -> str:
    """The plan is of this experiment, and says nothing else than the recipe, compiled again on this model."""
    plan = plan_of(folder)
    if (plan.spec_digest, plan.behaviour_digest) != (said.digests["spec"], said.digests["behaviour"]):
        raise _other("`recipe/plan.json` belongs to another experiment")
    if plan.rehearsal != said.predicate.get("rehearsal"):
        raise _other("`recipe/plan.json` and the statement differ in whether this was a rehearsal")
    if plan.model.digest != said.digests.get("model"):
        raise _other("`recipe/plan.json` starts from a different model from the one in the statement")
    if not {s.digest for d in plan.data for s in d.splits.values() if s.digest} <= {
        *said.predicate["contents"].values()
    }:
        raise _other("`recipe/plan.json` reads different data from those in the statement")
    budgets = [shrink.budget for stage in plan.stages for shrink in stage.shrinks]
    if not {b.speed.digest for b in budgets if b and b.speed} <= {*said.predicate["contents"].values()}:
        raise _other("`recipe/plan.json` has sizes from a different table of latencies")
    recipe, again = recipe_of(folder), compiled_of(folder)
    differs, open_ = difference(plan, recipe, again.facts)
    done.unchecked += open_
    if differs is not None:
        raise _other(f"`recipe/plan.json` differs from the recipe in `{line_of(differs)[:80]}`")
    check_dtype(again, plan.model.dtype)
    return f"same as compiled again for this model: {plural(len(again.facts.tensors), 'tensor')}, {len(again.never):,} protected"


def _tokenizer(folder: Path, said: Statement) -> str:
    """It can be read; and with all else that is passed on as it is, it is the base model's, where that is here."""
    plan = plan_of(folder)
    for name in said.subjects:
        inside(folder, name)
    task_of(plan.model.task).load_tokenizer(folder)
    base = Path(plan.model.path)
    if not is_base(base, said):
        return "readable"
    for name in belongings(base, plan.model.task):
        if sha256(base / name) != said.files.get(name):
            raise fail("E136", f"`{line_of(name)}` differs from the base model's", help=_TAKE_AGAIN)
    mine, theirs = read_object(folder / "config.json"), read_object(base / "config.json")
    sizes = {key for stage in plan.stages for shrink in stage.shrinks for key in shrink.config}
    for key in sorted(_UNCHANGED & {*mine, *theirs} - sizes):
        filled_in = key != "auto_map" and None in (mine.get(key), theirs.get(key))
        if mine.get(key) != theirs.get(key) and not filled_in:
            message = f"`config.json` differs from that of the base model in `{key}`"
            raise fail("E136", message, help=_TAKE_AGAIN)
    return "same as in the base model"


def is_base(folder: Path, said: Statement) -> bool:
    """Whether the model that a run began from lies in this folder."""
    try:
        return folder.is_dir() and model_digest(folder) == said.digests.get("model")
    except (RecipeError, OSError):
        return False


def _other(message: str) -> RecipeError:
    return fail("E138", message, help=_CHANGED)


def _record(folder: Path, said: Statement) -> str:
    """`run.json` and the statement tell of one run."""
    inside(folder, "run.json")
    record, plan = read_record(folder), plan_of(folder)
    p = said.predicate
    for field in ("status", "rehearsal", "seed", "time", "metrics", "claims", "environment"):
        if _plain(record.get(field)) != _plain(p.get(field)):
            raise _other(f"`run.json` and the statement differ in {field}")
    if (p.get("seed"), p.get("stage_seeds")) != (plan.seed, {s.name: s.seed for s in plan.stages}):
        raise _other("the statement and the plan differ in seeds")
    for field, planned in understood(plan).items():
        if _plain(record.get(field)) != _plain(planned):
            raise _other(f"`run.json` and the plan differ in {field}")
    if any(record.get("digests", {}).get(k) != v for k, v in said.digests.items() if k not in ("lock", "event_log")):
        raise _other("`run.json` and the statement differ in their digests")
    _starts(folder, said, plan)
    check_recorded(record, sessions_of(folder), plan)
    partial = {n: on for n in p["metrics"] if (on := measured_on(plan, n))}
    if record.get("measured_on", {}) != partial:
        raise _other("`run.json` and the plan differ in the amount of data evaluated")
    formats = written(folder, record, p["files"], plan)
    if odd := sorted(p["metrics"].keys() ^ _metrics(plan, formats)):
        what = (
            "has a metric that no evaluation produces" if odd[0] in p["metrics"] else "lacks a metric of an evaluation"
        )
        raise _other(f"`run.json` {what}: `{line_of(odd[0])[:60]}`")
    events = {n: d for n, d in p["files"].items() if n.startswith("tensorboard/")}
    if said.digests.get("event_log") != digest(events):
        raise _other("the digest of the curves in the statement does not match their files")
    if p["name"] != record.get("recipe"):
        raise _other("`run.json` and the statement name different recipes")
    return "agrees with the statement"


def _metrics(plan: Plan, formats: Sequence[str]) -> set[str]:
    """The names of all that a finished run has measured, in these other formats too."""
    found: set[str] = set()
    for e in plan.evaluations:
        under = [e.name, *(f"stage.{s.name}.{e.name}" for s in plan.stages), *([f"{e.name}.dense"] if e.dense else [])]
        under += [f"{e.name}.{name}" for name in formats]
        found |= {f"{where}.{metric}" for where in under for metric in e.metrics}
    found |= {f"{HARNESS}.{h.name}.{metric}" for h in plan.harnesses for metric in h.metrics}
    return found


def _starts(folder: Path, said: Statement, plan: Plan) -> None:
    """The starts of the run that `run.json` lists end with the one that finished it, and give its digest."""
    starts = sessions_of(folder)
    if not starts:
        raise _other("`run.json` does not list the starts of the run")
    last = starts[-1]
    if (last.spec, last.claims) != (said.digests["spec"], told_claims(plan)):
        raise _other("the last start in `run.json` has a different recipe or different claims")
    try:
        around = deciding(said.predicate["environment"], str(last.environment.get("device")))
    except KeyError:
        raise _other("the statement does not record the run's environment") from None
    if last.environment != {**around, "stages": attributes(plan)}:
        raise _other("the last start in `run.json` and the statement differ in environment")
    if run_digest(plan, lock_digest(folder), environments(starts)) != said.digests["run"]:
        raise _other("the run digest does not match the recipe and the starts in `run.json`")


def _plain(value: Any) -> Any:
    """Lists and tuples are one thing in JSON."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _headers(folder: Path, said: Statement) -> str:
    names = sorted(n for n in said.subjects if n.endswith(".safetensors"))
    if not names:
        raise fail("E137", "the statement lists no weights")
    loaded = weight_files(folder)
    beside = sorted(
        {*names, *(n for n in said.subjects if n == INDEX)} - {*loaded, *([INDEX] if len(loaded) > 1 else [])}
    )
    if beside or names != sorted(loaded):
        odd = (beside or sorted(set(loaded) ^ set(names)))[0]
        raise fail("E136", f"`{line_of(odd)}` is not part of the model's weights", help="move it elsewhere")
    wanted = stamps(plan_of(folder), folder, said.digests["run"])
    for name in names:
        stamp = read_stamp(inside(folder, name))
        told = {k for k in stamp if k.startswith("recipe.")}
        for key in sorted(told | wanted.keys()):
            if stamp.get(key) != wanted.get(key):
                message = f"the header of `{line_of(name)}` names a different {line_of(key.removeprefix('recipe.'))}"
                raise fail("E138", message, help="the weights and the statement belong to different runs")
    return f"{plural(len(names), 'weight file')}, stamped with this run"


def _lock(folder: Path, said: Statement) -> str:
    if f"sha256:{sha256(inside(folder, 'recipe/recipe.lock'))}" != said.digests.get("lock"):
        raise fail("E136", "`recipe/recipe.lock` is not the lock of this run")
    return "the lock of this run"


# ------------------------------------------------------- what is drawn from the rest
def _drawn(folder: Path, said: Statement, done: Verified) -> None:
    """Card, page and plots hold what this release writes from plan and record; other releases draw otherwise."""
    theirs = said.predicate["environment"].get("recipelang")
    if theirs != __version__:
        shown = line_of(str(theirs))[:20]
        done.not_done(1, "page, card", f"written by recipelang {shown}; this is {__version__}")
        return
    if any(c.outcome == "failed" and c.what in ("recipe", "plan", "record", "files") for c in done.checks):
        done.not_done(1, "page, card", "generated from files that failed a check")
        return
    done.run(1, "page, card", lambda: _same_words(folder, said, done))


def _same_words(folder: Path, said: Statement, done: Verified) -> str:
    from recipelang.engine.card import card
    from recipelang.report.curves import read_curves
    from recipelang.report.run import pictures, text

    plan, record = plan_of(folder), read_record(folder)
    wanted: dict[str, str] = {}
    if plan.export.card:
        if "README.md" not in said.files:
            raise fail("E136", "the statement does not list `README.md`", help=_CHANGED)
        wanted["README.md"] = card(plan, record, folder)
    if os.path.lexists(folder / _PAGE):
        wanted[_PAGE] = text(folder, plan)
    there = sorted((folder / _PLOTS).glob("*.svg")) if (folder / _PLOTS).is_dir() else []
    if there:
        from recipelang.report.chart import alone

        drawn = pictures(plan, record, read_curves(folder / "tensorboard"))
        wanted |= {f"{_PLOTS}/{name}.svg": alone(picture) for name, picture in drawn.items()}
        wanted |= {f"{_PLOTS}/{p.name}": "" for p in there if p.stem not in drawn}
    for name, words in wanted.items():
        if not os.path.lexists(folder / name):
            continue
        if read_whole(inside(folder, name), _MAX_PAGE, inside=folder) != words.encode("utf-8"):
            help = "regenerate it with `recipelang report DIR`" if name != "README.md" else _TAKE_AGAIN
            raise fail("E136", f"`{line_of(name)}` does not match this run's record", help=help)
    if any((folder / _PLOTS).glob("*.png")):
        done.unchecked.append("plots as PNG")
    return f"{len(wanted)} generated again from the record, all identical" if wanted else "none"
