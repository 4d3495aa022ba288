"""The worst values of every model of a file that is read back: refused by the model, and by its reader in its code."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from recipelang.artifact import cache, lock, manifest as m, referrers
from recipelang.artifact.address import parse_reference
from recipelang.artifact.layout import read_layout
from recipelang.engine import checkpoint, position
from recipelang.engine.record_form import RecordForm
from recipelang.engine.records import read_record
from recipelang.engine.statement import PREDICATE_TYPE, STATEMENT_TYPE, OriginForm, read_origin
from recipelang.planning import remembered, safetensors_header
from recipelang.provenance import published, signing, statement
from recipelang.source import RecipeError
from recipelang.tasks import wordpiece

from .test_bad_plans import inside
from .whole_plan import SHA

NAN, INF, HEX = float("nan"), float("inf"), "a" * 64
#: in place of a value: the field is not there
GONE = object()
REFERENCE = "oci://h.org/a:1"
DIGESTS: list[Any] = ["sha256:", "md5:" + HEX, HEX, SHA + "\n", SHA.upper(), 3, None, []]
COUNTS: list[Any] = [-1, "1", 0.5, True, None]
TEXTS: list[Any] = [3, None, ["a"], True]


def descriptor(kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": SHA, "size": 3, **more}


SESSION = {"started": "now", "stage": 0, "step": 2, "environment": {"device": "cpu"}, "spec": SHA, "claims": ["a"]}
CLAIM = {"kind": "expect", "text": "a > 1", "expected": "> 1", "measured": "2", "met": True}
POSITION = {
    "behaviour": SHA,
    "stage": 0,
    "step": 2,
    "metrics": {"dev.f1": 0.5},
    "seconds": {"dense": 2.0},
    "zeros_at_start": {"a": 0},
    "stage_models": {"dense": SHA},
    "few_tokens": {"shot": {"mlp.experts[3]": 0}},
    "sessions": [SESSION],
    "format": 2,
    "python": [3, [1] * 625, None],
}

WHOLE: dict[type[BaseModel], dict[str, Any]] = {
    lock.LockForm: {
        "lock": 1,
        "recipe": "a",
        "spec": SHA,
        "refs": {
            "m": {"kind": "model", "contents": SHA, "version": "1"},
            "r": {"kind": "recipe", "manifest": SHA, "spec": SHA, "sha256": SHA},
            "d": {"kind": "dataset", "revision": "0", "asked": "main", "files": {"f": {"sha256": HEX, "size": 3}}},
        },
        "tools": {"recipelang": ">= 0.1, < 1", "plugins": {}},
        "metrics": {"f1": {"impl": "a", "sha256": SHA}},
    },
    statement.StatementForm: {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": "model.safetensors", "digest": {"sha256": HEX}}],
        "predicate": {
            "format_version": "1.0",
            "name": "a",
            "version": None,
            "status": "finished",
            "rehearsal": None,
            "digests": {"spec": SHA, "behaviour": SHA, "run": SHA, "lock": None},
            "seed": 1,
            "stage_seeds": {"dense": 1},
            "parameters": {"p": "1"},
            "references": {"model.base": "./m"},
            "contents": {"./m": SHA},
            "environment": {"device": "cpu"},
            "time": "now",
            "metrics": {"dev.f1": 0.5},
            "claims": [CLAIM],
            "tensors": {"a": {"zeros": 2, "size": 4}},
            "patterns": {"a": ["2:4"]},
            "never": {"b": 0},
            "files": {"run.json": HEX},
        },
    },
    RecordForm: {
        "format_version": "1.0",
        "status": "finished",
        "recipe": "a",
        "rehearsal": 3,
        "digests": {"spec": SHA},
        "seed": 1,
        "time": "now",
        "environment": {"device": "cpu", "threads": 1},
        "sessions": [SESSION],
        "error": ["a"],
        "metrics": {"dev.f1": 0.5},
        "seconds": {"dense": 2.0},
        "sparsity": {"targets": 0.5, "all_parameters": 0.25, "tensors": {"a": 0.5}},
        "never": {"tensors": 1, "gained_zeros": {}},
        "claims": [CLAIM],
    },
    OriginForm: {
        "name": "a",
        "version": None,
        "license": None,
        "authors": ["A"],
        "cites": [],
        "tags": [],
        "summary": None,
        "reported": [],
        "parameters": {"p": "1"},
        "references": {"model.base": "./m"},
        "contents": {"./m": SHA},
    },
    position.Saved: POSITION,
    checkpoint.Files: {f"{name}": HEX for name in ("model.safetensors", "state.json", "state.safetensors")},
    m.Manifest: {
        "schemaVersion": 2,
        "mediaType": m.MANIFEST,
        "artifactType": m.RECIPE,
        "config": descriptor(m.SPEC),
        "layers": [descriptor(m.SOURCE, annotations={m.TITLE: "a.recipe"}), descriptor(m.README, annotations={m.TITLE: "R"})],
        "annotations": {"a": "b"},
    },
    m.Index: {
        "schemaVersion": 2,
        "mediaType": m.INDEX,
        "manifests": [descriptor(m.MANIFEST, artifactType=m.RECIPE, annotations={"a": "b"})],
    },
    m.Listing: {"manifests": [{"digest": SHA, "artifactType": referrers.BUNDLE}]},
    referrers.ReferrerForm: {"subject": descriptor(m.MANIFEST), "layers": [descriptor(referrers.BUNDLE)]},
    signing.Bundle: {
        "mediaType": referrers.BUNDLE,
        "dsseEnvelope": {"payload": "e30=", "payloadType": referrers.STATEMENT, "signatures": [{"sig": "e30="}]},
    },
    published.Signed: {"predicateType": "a", "subject": [{"digest": {"sha256": HEX}}]},
    cache.Note: {"reference": REFERENCE, "manifest": SHA},
    remembered.Note: {"key": HEX, "value": 7, "sha256": HEX},
    safetensors_header.Places: {"weight_map": {"a": "model-1.safetensors"}},
    wordpiece.Settings: {
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "cls_token": "[CLS]",
        "added_tokens_decoder": {"5": {"content": "<t>", "special": True, "__type": "AddedToken"}},
    },
    wordpiece.AddedTokens: {"<t>": 5},
}  # fmt: skip

#: the file's model, where in it, and what is written there instead: a field to values
BAD: list[tuple[type[BaseModel], str, dict[str, list[Any]]]] = [
    (lock.LockForm, "", {
        "lock": [2, "1", True, None, GONE], "recipe": [*TEXTS, GONE], "spec": DIGESTS[:4], "refs": [[], "a", None],
        "tools": [[], "1", None], "metrics": [[], {"f1": 3}], "more": [1],
    }),
    (lock.LockForm, "refs.m", {
        "kind": ["spell", "", 3, GONE], "contents": DIGESTS, "version": TEXTS, "revison": ["0"], "files": [[], {"f": 3}],
    }),
    (lock.LockForm, "refs.r", {"manifest": DIGESTS, "spec": DIGESTS[:4], "sha256": DIGESTS}),
    (lock.LockForm, "refs.d", {"revision": TEXTS, "asked": TEXTS}),
    (lock.LockForm, "refs.d.files.f", {"sha256": [SHA, "", HEX.upper(), 3, None], "size": COUNTS[:4], "git": [3], "more": [1]}),
    (lock.LockForm, "tools", {"recipelang": ["any", ">= x", *TEXTS], "plugins": [[], {"a": 3}, None, {"a": []}], "more": [1]}),
    (lock.LockForm, "metrics.f1", {"impl": [*TEXTS, GONE], "sha256": [*DIGESTS, GONE], "more": [1]}),
    (statement.StatementForm, "", {
        "_type": ["a", None, GONE], "predicateType": ["a", "https://slsa.dev/provenance/v1", GONE],
        "subject": [[], {}, None, GONE], "predicate": [[], None, "a", GONE],
    }),
    (statement.StatementForm, "subject.0", {
        "name": [*TEXTS, GONE, "run.json"], "digest": [{}, {"sha256": HEX, "md5": "a"}, {"sha256": SHA}, {"sha256": None}, HEX],
    }),
    (statement.StatementForm, "predicate", {
        "format_version": ["2.0", 1, GONE], "name": [*TEXTS, GONE], "version": [1], "status": [*TEXTS, GONE],
        "rehearsal": [0, -1, "3", 0.5], "digests": [{}, [], {"spec": SHA}], "seed": ["1"], "stage_seeds": [[1]],
        "parameters": [{"p": 1}, GONE], "references": [{"a": 1}], "contents": [{"a": v} for v in DIGESTS],
        "environment": [[], GONE], "time": [3], "metrics": [{"a": "1"}, {"a": NAN}, {"a": True}, GONE],
        "claims": [{}, [3], GONE], "tensors": [{"a": {}}, {"a": {"zeros": -1, "size": 4}}, {"a": {"zeros": 5, "size": 4}}, GONE],
        "patterns": [{"a": "2:4"}, {"a": [2]}, GONE], "never": [{"b": -1}, {"b": "0"}, {"b": 2**53}, GONE],
        "files": [{"a": SHA}, {"a": None}, ["a"], GONE],
    }),
    (statement.StatementForm, "predicate.digests", {"spec": [*DIGESTS, GONE], "behaviour": DIGESTS, "run": DIGESTS, "lock": DIGESTS[:4]}),
    (RecordForm, "", {
        "format_version": ["2.0", 1], "status": ["done", "", 3, GONE], "recipe": TEXTS, "rehearsal": [0, -1, "3"],
        "digests": [{"spec": 3}], "seed": ["1", 0.5], "time": [3], "environment": [{"a": {"b": 3}}, []], "sessions": [{}, [3]],
        "error": ["a", [3]], "metrics": [{"a": "1"}, {"a": NAN}], "seconds": [{"a": -1.0}, {"a": INF}], "claims": [{}, [3]],
    }),
    (RecordForm, "sessions.0", {
        "started": [*TEXTS, GONE], "stage": COUNTS, "step": COUNTS, "environment": [[], {"a": 3}, GONE], "spec": [*DIGESTS, GONE],
        "claims": ["a", [3]], "more": [1],
    }),
    (RecordForm, "sparsity", {
        "targets": [-0.1, 1.01, 50, NAN, "0.5", None, GONE], "all_parameters": [-0.1, 1.01], "tensors": [{"a": 2}, []],
    }),
    (RecordForm, "never", {"tensors": [*COUNTS, GONE], "gained_zeros": [{"a": 0}, {"a": -3}, {"a": "1"}, [], None]}),
    (RecordForm, "claims.0", {
        "kind": ["require", "", 3, GONE], "text": TEXTS, "expected": TEXTS, "measured": TEXTS, "met": ["yes", 1, 0.0],
    }),
    (OriginForm, "", {
        "name": [*TEXTS, GONE], "version": [1], "license": [1], "authors": ["A", [3], None], "cites": [[3]], "tags": [[None]],
        "summary": [3, GONE], "reported": ["a"], "parameters": [{"p": 1}, []], "references": [{"a": None}],
        "contents": [{"a": v} for v in DIGESTS], "more": [1],
    }),
    (position.Saved, "", {
        "behaviour": [*DIGESTS, GONE], "stage": COUNTS, "step": COUNTS, "metrics": [{"a": "x"}, {"a": None}, []],
        "seconds": [{"a": []}], "zeros_at_start": [{"a": v} for v in COUNTS], "stage_models": [{"a": v} for v in DIGESTS],
        "few_tokens": [{"a": {"b": v}} for v in COUNTS], "sessions": [{}, [3]], "format": ["2", True, None, GONE],
        "python": [[2, [1] * 625, None], [3, [1] * 624, None], [3, [-1] * 625, None], [3, ["1"] * 625, None], [3], GONE],
        "more": [1],
    }),
    (position.Saved, "sessions.0", {"stage": COUNTS, "step": COUNTS, "spec": DIGESTS, "environment": [[], GONE]}),
    (checkpoint.Files, "", {
        "model.safetensors": [SHA, HEX.upper(), "", 3, None, GONE], "state.json": [SHA, [], GONE],
        "state.safetensors": [True, GONE], "../x": [HEX],
    }),
    (m.Manifest, "", {
        "schemaVersion": [1, "2", None, GONE], "mediaType": [m.INDEX, 3, GONE], "artifactType": ["a", None, GONE],
        "config": [[], None, GONE], "layers": [[], {}, [descriptor(m.SOURCE)] * 49, GONE], "annotations": [{"a": 1}, [], None],
    }),
    (m.Manifest, "config", {"mediaType": ["application/vnd.oci.image.config.v1+json", 3, GONE], "digest": DIGESTS, "size": COUNTS}),
    (m.Manifest, "layers.0", {
        "mediaType": ["application/x-tar", 3, GONE], "digest": [*DIGESTS, GONE], "size": [*COUNTS, 10**12, GONE],
        "annotations": [{"a": 1}, [], None],
    }),
    (m.Index, "", {
        "schemaVersion": [1, "2", None, GONE], "mediaType": [m.MANIFEST, 3, None], "manifests": [{}, 1, None, [3], GONE],
    }),
    (m.Index, "manifests.0", {
        "mediaType": [*TEXTS, GONE], "digest": ["a", "sha256:../../x", 3, None, GONE], "size": [0.5, [], 3.0], "artifactType": [3, []],
        "annotations": [{"a": 1}, []],
    }),
    (referrers.ReferrerForm, "", {"subject": [3, [], {}, {"digest": 3}], "layers": [[], {}, None, [3], [descriptor("a")] * 2, GONE]}),
    (referrers.ReferrerForm, "layers.0", {"mediaType": [*TEXTS, GONE], "digest": DIGESTS, "size": COUNTS, "annotations": [[]]}),
    (signing.Bundle, "", {"mediaType": ["a", "application/vnd.dev.sigstore.bundle+json;version=0.1", 3, GONE], "dsseEnvelope": [[], None, {}, GONE]}),
    (signing.Bundle, "dsseEnvelope", {
        "payload": ["e30", "e3*=", *TEXTS, GONE], "payloadType": ["text/plain", 3, GONE],
        "signatures": [{}, [3], [{}], [{"sig": "!"}], [{"sig": 3}], None, GONE],
    }),
    (published.Signed, "", {"predicateType": [*TEXTS, GONE], "subject": [{}, [3], [{}], [{"digest": HEX}], [{"digest": {"a": 1}}], GONE]}),
    (cache.Note, "", {"reference": [*TEXTS, GONE], "manifest": [*DIGESTS, GONE], "more": [1]}),
    (remembered.Note, "", {"key": [SHA, "", *TEXTS, GONE], "sha256": [SHA, "", *TEXTS, GONE], "value": [GONE], "more": [1]}),
    (safetensors_header.Places, "", {"weight_map": [[], "a", 3, None, {"a": 3}, {"a": None}, {"a": ["b"]}, {"a": True}, {"a": {}}, GONE]}),
    (wordpiece.Settings, "", {
        "do_lower_case": ["no", 1, None], "strip_accents": ["no", 0], "tokenize_chinese_chars": [None, 1.0],
        "cls_token": [5, [], True, {"content": 5}], "added_tokens_decoder": [[], None, {"x": {"content": "a"}}, {"-1": {"content": "a"}}],
    }),
    (wordpiece.Settings, "added_tokens_decoder.5", {"content": [*TEXTS, GONE], "special": ["no", 1, None], "colour": [True]}),
    (wordpiece.AddedTokens, "", {"<t>": [-1, "5", 0.5, True, None, [], {}, "", 5.0, "x"]}),
    (m.Listing, "", {"manifests": [{}, None, [3], [{}], GONE]}),
    (m.Listing, "manifests.0", {"digest": ["a", "", 3, None, GONE], "artifactType": [3, [], True]}),
]  # fmt: skip

CASES = [
    pytest.param(model, at, name, value, id=f"{model.__name__}.{at}.{name}={'gone' if value is GONE else json.dumps(value)[:24]}")
    for model, at, fields in BAD
    for name, values in fields.items()
    for value in values
]  # fmt: skip


def changed(model: type[BaseModel], at: str, name: str, value: Any) -> bytes:
    form = copy.deepcopy(WHOLE[model])
    if value is GONE:
        del inside(form, at)[name]
    else:
        inside(form, at)[name] = value
    return json.dumps(form).encode()


def test_every_model_has_its_ten_worst() -> None:
    counted = {model: sum(len(v) for at, _, fields in BAD if at is model for v in fields.values()) for model in WHOLE}
    assert min(counted.values()) >= 10, counted


@pytest.mark.parametrize("model", WHOLE)
def test_the_whole_ones_are_sound(model: type[BaseModel]) -> None:
    model.model_validate_json(json.dumps(WHOLE[model]), strict=True)


@pytest.mark.parametrize(("model", "at", "name", "value"), CASES)
def test_a_bad_value_is_refused_by_its_model(model: type[BaseModel], at: str, name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate_json(changed(model, at, name, value), strict=True)
    said = str(refused.value)
    assert name in said or f"names `{value}` twice" in said


def refusal(read: Callable[[], object]) -> tuple[str, str]:
    """In which code something is refused, and what is said."""
    try:
        read()
    except RecipeError as error:
        (found,) = error.diagnostics
        return found.code, " ".join((found.message, *found.notes))
    except checkpoint.Damaged as error:  # the one before it is taken, or E083 tells of it
        return "damaged", str(error)
    return "", ""


# ------------------------------------------------------------------------ the readers
def _record(data: bytes, folder: Path) -> None:
    (folder / "run.json").write_bytes(data)
    read_record(folder)


def _origin(data: bytes, folder: Path) -> None:
    (folder / "recipe").mkdir()
    (folder / "recipe" / "origin.json").write_bytes(data)
    read_origin(folder)


def _checkpoint(state: bytes, folder: Path, listed: dict[str, Any] | None = None) -> None:
    files = {"model.safetensors": b"", "state.json": state, "state.safetensors": b""}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (folder / "manifest.json").write_text(json.dumps(digests if listed is None else listed))
    checkpoint.read(folder)


def _files(data: bytes, folder: Path) -> None:
    _checkpoint(json.dumps(POSITION).encode(), folder, json.loads(data))


def _layout(data: bytes, folder: Path) -> None:
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_bytes(data)
    read_layout(folder)


def _bundle(data: bytes, folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    (folder / "key.pub").write_bytes(public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    signing.opened(data, signing.Policy(key=folder / "key.pub"))


def _weights(data: bytes, folder: Path) -> None:
    (folder / safetensors_header.INDEX).write_bytes(data)
    safetensors_header.weight_files(folder)


def _tokenizer(file: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
        (folder / file).write_bytes(data)
        wordpiece.from_vocabulary(folder)

    return read


def _is_of(data: bytes) -> None:
    published._names(data, SimpleNamespace(digest=SHA))  # type: ignore[arg-type]


READERS: dict[type[BaseModel], tuple[str, Callable[[bytes, Path], object]]] = {
    lock.LockForm: ("E134", lambda data, _: lock.parse_lock(data, "a.lock")),
    statement.StatementForm: ("E137", lambda data, _: statement.parse_statement(data)),
    RecordForm: ("E137", _record),
    OriginForm: ("E137", _origin),
    position.Saved: ("damaged", _checkpoint),
    checkpoint.Files: ("damaged", _files),
    m.Manifest: ("E122", lambda data, _: m.read_manifest(data)),
    m.Index: ("E122", _layout),
    m.Listing: ("E122", lambda data, _: m.sound(data, m.Listing, "the list")),
    referrers.ReferrerForm: ("E122", lambda data, _: referrers.read_referrer(data, SHA, lambda _: b"")),
    signing.Bundle: ("E142", _bundle),
    published.Signed: ("E137", lambda data, _: _is_of(data)),
    safetensors_header.Places: ("E076", _weights),
    wordpiece.Settings: ("E189", _tokenizer("tokenizer_config.json")),
    wordpiece.AddedTokens: ("E189", _tokenizer("added_tokens.json")),
}

#: of what is only remembered: it is not believed, and nobody is told
NOTES = (cache.Note, remembered.Note)


@pytest.mark.parametrize("data", [changed(*case.values) for case in CASES if case.values[0] is cache.Note])
def test_a_note_that_was_changed_is_not_believed(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path))
    reference = parse_reference(REFERENCE)
    note = cache._note(reference)
    note.parent.mkdir(parents=True)
    note.write_bytes(json.dumps(WHOLE[cache.Note]).encode())
    assert (cache.named(reference), cache.known()) == (SHA, [REFERENCE])
    note.write_bytes(data)
    assert (cache.named(reference), cache.known()) == ("", [])


@pytest.mark.parametrize(("model", "at", "name", "value"), [case for case in CASES if case.values[0] not in NOTES])
def test_a_bad_value_is_refused_in_a_file_that_was_changed(
    model: type[BaseModel], at: str, name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "cache"))
    code, read = READERS[model]
    found, said = refusal(lambda: read(changed(model, at, name, value), tmp_path))
    assert found == code
    assert name in said or "is not JSON" in said or f"names `{value}` twice" in said, said
