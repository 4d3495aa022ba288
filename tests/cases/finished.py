"""A finished run beside the recipe of a case, and what may be wrong with it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.signing import make_key

STATEMENT = Path("out/recipe/statement.json")


def finished(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("run", "a.recipe", "-o", "out").code == 0


def say(**predicate: object) -> None:
    """Another statement: these parts of the predicate are laid over the run's."""
    body = json.loads(STATEMENT.read_text("utf-8"))
    for part, value in predicate.items():
        body["predicate"][part] = {**body["predicate"][part], **value} if isinstance(value, dict) else value
    STATEMENT.write_text(json.dumps(body), "utf-8")


def weights_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    path = Path("out/model.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(data)


def recipe_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    path = Path("out/recipe/portable.recipe")
    text = path.read_text("utf-8").replace("batch = 8", "batch = 4")
    path.write_text(text, "utf-8")
    say(files={"recipe/portable.recipe": hashlib.sha256(text.encode()).hexdigest()})


def planned_by_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    import hashlib
    import json

    path = Path("out/recipe/plan.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "format_version": "1.0"}), "utf-8")
    say(files={"recipe/plan.json": hashlib.sha256(path.read_bytes()).hexdigest()})


def weights_are_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    shutil.move("out/config.json", "config.json")
    Path("out/config.json").symlink_to(Path("config.json").resolve())


def claims_more_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    say(tensors={"bert.encoder.layer.0.output.dense.weight": {"zeros": 2_000, "size": 2_048}})


def claims_more_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every file that tells of it."""
    from recipelang.engine.card import card
    from recipelang.engine.records import read_plan, read_record

    finished(monkeypatch)
    out = Path("out")
    record = json.loads((out / "run.json").read_text("utf-8"))
    record["metrics"] |= {name: 0.9 for name in record["metrics"] if name.endswith("dev.exact_match")}
    (out / "run.json").write_text(json.dumps(record), "utf-8")
    (out / "README.md").write_text(card(read_plan(out), read_record(out), out), "utf-8")
    assert command("report", "out").code == 0
    names = ("run.json", "README.md")
    digests = {n: hashlib.sha256((out / n).read_bytes()).hexdigest() for n in names}
    say(metrics=record["metrics"], files=digests)


def not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    make_key(Path("key.pem"), Path("key.pub"))


def signed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    not_signed(monkeypatch)
    make_key(Path("other.pem"), Path("other.pub"))
    assert command("sign", "out", "--key", "other.pem").code == 0


def no_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    not_signed(monkeypatch)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)


FINISHED = {
    "a finished run": finished,
    "a finished run with changed weights": weights_changed,
    "a finished run with a changed recipe": recipe_changed,
    "a finished run of another version": planned_by_another_version,
    "a finished run with a link": weights_are_a_link,
    "a run that claims more zeros": claims_more_zeros,
    "a run that claims more accuracy": claims_more_accuracy,
    "a run that nobody signed": not_signed,
    "a run that somebody else signed": signed_by_another,
    "a run, and no cryptography": no_cryptography,
}
