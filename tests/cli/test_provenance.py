"""What a run leaves, told, compared, checked and signed; and everything that may be done to it on the way."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from recipelang.provenance.signing import sign
from recipelang.provenance.statement import read_statement
from tests.cli.command import command
from tests.signing import make_key

STATEMENT = "recipe/statement.json"


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A finished run, made once; tests change copies."""
    from tests.conftest import RECIPE

    here = tmp_path_factory.mktemp("made")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    meta = 'meta { version = "1.2.0", license = "MIT", cites = ["arxiv:2203.07259"], reported = ["f1 = 85 | <b>"] }\n'
    (here / "tiny.recipe").write_text(RECIPE.format(length="2 steps", extra="") + meta, "utf-8")
    before = Path.cwd()
    os.chdir(here)
    try:
        assert command("run", "tiny.recipe", "-o", "out").code == 0
    finally:
        os.chdir(before)
    return here


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def statement(out: str = "out") -> dict:
    return json.loads(Path(out, STATEMENT).read_text("utf-8"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_statement_is_of_the_files_and_the_recipe(here):
    said = statement()
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://recipelang.dev/run/v1"
    named = {s["name"]: s["digest"]["sha256"] for s in said["subject"]} | said["predicate"]["files"]
    assert {"model.safetensors", "run.json", "README.md", "recipe/sources/tiny.recipe"} <= named.keys()
    assert named == {name: sha256(here / "out" / name) for name in named}
    spec = said["predicate"]["digests"]["spec"]
    assert spec == "sha256:" + sha256(here / "out/recipe/spec.json")
    assert spec == "sha256:" + command("digest", "tiny.recipe", "--only", "spec").out.strip()
    assert (here / "out/recipe/sources/tiny.recipe").read_bytes() == (here / "tiny.recipe").read_bytes()
    assert str(here) not in (here / "out/recipe/portable.recipe").read_text("utf-8")


def test_one_weight_file_tells_how_it_was_made(here):
    with safe_open("out/model.safetensors", "pt") as file:
        stamp = file.metadata()
    digests = statement()["predicate"]["digests"]
    assert (stamp["recipe.spec"], stamp["recipe.run"]) == (digests["spec"], digests["run"])
    assert (stamp["recipe.name"], stamp["recipe.version"]) == ("tiny", "1.2.0")
    shutil.move("out/model.safetensors", "alone.safetensors")
    shutil.rmtree("out")
    told = json.loads(command("inspect", "alone.safetensors", "--format", "json").out)
    assert told["recipe"] == stamp["recipe.source"] and told["digests"]["spec"] == digests["spec"]
    assert command("verify", "alone.safetensors").code == 0


def test_two_runs_write_equal_weights_wherever_they_are(here, monkeypatch):
    (here / "elsewhere").mkdir()
    for name in ("model", "train.json", "dev.json", "tiny.recipe"):
        shutil.move(name, here / "elsewhere" / name)
    monkeypatch.chdir(here / "elsewhere")
    assert command("run", "tiny.recipe", "-o", "again").code == 0
    assert sha256(Path("again/model.safetensors")) == sha256(here / "out/model.safetensors")


def test_card_has_front_matter_with_what_was_measured(here):
    text = Path("out/README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["library_name"] == "transformers" and front["license"] == "mit"
    assert "arxiv:2203.07259" in front["tags"] and front["pipeline_tag"] == "question-answering"
    (result,) = front["model-index"][0]["results"]
    values = {m["type"]: m["value"] for m in result["metrics"]}
    record = json.loads(Path("out/run.json").read_text("utf-8"))
    assert values == {m: record["metrics"][f"dev.{m}"] for m in ("f1", "exact_match")}
    assert "f1 = 85 \\| &lt;b&gt;" in text and "Reported elsewhere" in text
    assert 'recipe 1 "tiny"' in text


def test_all_levels_hold_and_claims_tell_who_measured_them(here):
    ended = command("verify", "out", "--format", "json")
    told = json.loads(ended.out)
    assert (ended.code, told["verified"]) == (0, True)
    by = {c["claim"].split("(")[0]: c["by"] for c in told["claims"]}
    assert by["expect sparsity"] == "re-measured here" and by["prefer dev.f1 >= 0%"] == "measured by the run"
    again = json.loads(command("verify", "out", "--evaluate", "--format", "json").out)
    assert {c["by"] for c in again["claims"]} == {"re-measured here"}
    less = json.loads(command("verify", "out", "--no-weights", "--format", "json").out)
    assert {c["by"] for c in less["claims"]} == {"claimed"}


# ------------------------------------------------------------------------ attacks
def rewrite(path: Path, change) -> None:
    body = json.loads(path.read_text("utf-8"))
    change(body)
    path.write_text(json.dumps(body), "utf-8")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x01
    path.write_bytes(data)


def header(path: Path, change) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    body = json.loads(data[8 : 8 + length])
    change(body)
    text = json.dumps(body).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def link(path: Path) -> None:
    moved = path.rename(path.parent.parent / "moved")
    path.symlink_to(moved)


ATTACKS = {
    "flipped weight": (lambda out: flip(out / "model.safetensors"), "E136"),
    "edited record": (lambda out: rewrite(out / "run.json", lambda b: b["metrics"].update({"dev.f1": 1.0})), "E136"),
    "edited source": (lambda out: (out / "recipe/sources/tiny.recipe").write_text("recipe 1"), "E136"),
    "edited card": (lambda out: (out / "README.md").write_text("# 99 %"), "E136"),
    "missing weights": (lambda out: (out / "model.safetensors").unlink(), "E136"),
    "cut weights": (lambda out: os.truncate(out / "model.safetensors", 4_000), "E136"),
    "empty weights": (lambda out: os.truncate(out / "model.safetensors", 0), "E136"),
    "added pickle": (lambda out: (out / "pytorch_model.bin").write_bytes(b"\x80\x04."), "E136"),
    "added code": (lambda out: (out / "modeling.py").write_text("print(1)"), "E136"),
    "linked weights": (lambda out: link(out / "model.safetensors"), "E139"),
    "linked folder": (lambda out: link(out / "recipe"), "E139"),
    "linked statement": (lambda out: link(out / STATEMENT), "E139"),
    "other link": (lambda out: (out / "more").symlink_to("/"), "E139"),
    "path traversal": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["files"].update({"../tiny.recipe": "0" * 64})),
        "E139",
    ),
    "absolute path": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["files"].update({"/etc/passwd": "0" * 64})),
        "E139",
    ),
    "other spec": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["digests"].update(spec="sha256:" + "0" * 64)),
        "E138",
    ),
    "other contents": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["contents"].update(model="sha256:" + "0" * 64)),
        "E138",
    ),
    "protected zeros": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["tensors"]["qa_outputs.weight"].update(zeros=9)),
        "E140",
    ),
    "false pattern": (
        lambda out: rewrite(
            out / STATEMENT, lambda b: b["predicate"]["patterns"].update({"qa_outputs.weight": ["2:4"]})
        ),
        "E140",
    ),
    "fewer claims": (lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["claims"].pop()), "E140"),
    "statement cut": (lambda out: os.truncate(out / STATEMENT, 900), "E137"),
    "statement deep": (lambda out: (out / STATEMENT).write_text("[" * 200_000), "E137"),
    "statement long": (lambda out: (out / STATEMENT).write_bytes(b" " * (17 * 2**20)), "E137"),
    "statement doubled": (lambda out: (out / STATEMENT).write_text('{"_type": 1, "_type": 2}'), "E137"),
    "statement digits": (lambda out: (out / STATEMENT).write_text('{"_type": ' + "9" * 100_000 + "}"), "E137"),
    "statement types": (lambda out: rewrite(out / STATEMENT, lambda b: b.update(predicate=[])), "E137"),
    "statement zeros": (
        lambda out: rewrite(out / STATEMENT, lambda b: b["predicate"]["never"].update({"a": -1})),
        "E137",
    ),
    "no statement": (lambda out: (out / STATEMENT).unlink(), "E135"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_with_its_code(name, here):
    attack, code = ATTACKS[name]
    attack(here / "out")
    ended = command("verify", "out")
    assert ended.code == 5
    assert code in ended.codes


def test_weights_of_other_zeros_are_told_though_all_digests_are_rewritten(here):
    """A forger who rewrites every digest still has to put the zeros there."""
    out = here / "out"
    data = bytearray((out / "model.safetensors").read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    places = json.loads(data[8 : 8 + length])
    begin, end = places["bert.encoder.layer.0.output.dense.weight"]["data_offsets"]
    data[8 + length + begin : 8 + length + end] = b"\x3f" * (end - begin)
    (out / "model.safetensors").write_bytes(data)

    def forge(body):
        for subject in body["subject"]:
            subject["digest"]["sha256"] = sha256(out / subject["name"])

    rewrite(out / STATEMENT, forge)
    assert command("verify", "out", "--no-weights").code == 0
    ended = command("verify", "out")
    assert (ended.code, set(ended.codes)) == (5, {"E140"})


HEADERS = {
    "offsets beyond": lambda b: b["qa_outputs.bias"].update(data_offsets=[0, 2**60]),
    "shape": lambda b: b["qa_outputs.bias"].update(shape=[2**40]),
    "overlap": lambda b: b["qa_outputs.bias"].update(data_offsets=[0, 8]),
    "no strings": lambda b: b["__metadata__"].update({"recipe.spec": {"a": 1}}),
    "other recipe": lambda b: b["__metadata__"].update(
        {"recipe.source": b["__metadata__"]["recipe.source"].replace("batch = 8", "batch = 4")}
    ),
    "no recipe": lambda b: b["__metadata__"].update({"recipe.source": "nonsense {"}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_that_claims_too_much_is_refused(name, here):
    header(here / "out/model.safetensors", HEADERS[name])
    ended = command("verify", "out/model.safetensors")
    assert (ended.code, set(ended.codes) <= {"E076", "E137", "E138"}, len(ended.codes)) == (5, True, 1)


def test_escapes_and_bidirectional_characters_are_shown_as_such(here):
    evil = "a\x1b[2Jb\u202ec\nd"
    header(here / "out/model.safetensors", lambda b: b["__metadata__"].update({"recipe.name": evil}))

    def change(body):
        body["predicate"]["name"] = evil
        body["predicate"]["parameters"] = {evil: evil}
        body["predicate"]["claims"][0]["text"] = evil

    rewrite(here / "out" / STATEMENT, change)
    (here / "out" / evil.replace("\n", "")).write_text("")
    for asked in (("inspect", "out"), ("inspect", "out/model.safetensors"), ("verify", "out")):
        shown = command(*asked)
        assert not {"\x1b", "\u202e"} & set(shown.out + shown.err), asked
        assert "\\u{1b}" in shown.out
        raw = command(*asked, "--format", "json").out
        assert not {"\x1b", "\u202e"} & set(raw)


# --------------------------------------------------------------------- signatures
@pytest.mark.parametrize("kind", ["ed25519", "SECP256R1", "SECP384R1"])
def test_signature_names_its_key_and_is_of_everything(kind, here):
    make_key(here / "a.pem", here / "a.pub", kind)
    make_key(here / "b.pem", here / "b.pub", kind)
    signed = command("sign", "out", "--key", "a.pem")
    assert signed.code == 0
    key = signed.out.split("\n")[0].rpartition(" ")[2]
    ended = command("verify", "out", "--key", "a.pub")
    assert ended.code == 0 and f"signed by the key {key}" in ended.out
    assert command("verify", "out", "--key", "b.pub").codes == ["E142"]
    bundle = json.loads(Path("out/recipe/statement.sigstore.json").read_text())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == Path("out", STATEMENT).read_bytes()


def test_signature_by_openssl_alone_is_the_same(here):
    """DSSE as the standard has it: the bytes signed are built here from its text, and checked without our code."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    make_key(here / "a.pem", here / "a.pub")
    command("sign", "out", "--key", "a.pem")
    envelope = json.loads(Path("out/recipe/statement.sigstore.json").read_text())["dsseEnvelope"]
    payload = Path("out", STATEMENT).read_bytes()
    kind = b"application/vnd.in-toto+json"
    message = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    key = load_pem_public_key((here / "a.pub").read_bytes())
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), message)


def test_signature_of_another_statement_is_refused(here):
    make_key(here / "a.pem", here / "a.pub")
    shutil.copytree("out", "other")
    rewrite(Path("other", STATEMENT), lambda b: b["predicate"].update(seed=7))
    assert "E203" in command("sign", "other", "--key", "a.pem").codes
    sign(Path("other"), read_statement(Path("other")).raw, Path("a.pem"))
    shutil.copy("other/recipe/statement.sigstore.json", "out/recipe/")
    assert command("verify", "out", "--key", "a.pub").codes == ["E142"]


def test_what_was_checked_is_what_is_signed(here, monkeypatch):
    """Somebody exchanges the statement between the check and the signature."""
    from recipelang.provenance import verify

    make_key(here / "a.pem", here / "a.pub")
    checked, check = Path("out", STATEMENT).read_bytes(), verify.check_signable

    def exchanged(folder):
        done = check(folder)
        rewrite(Path("out", STATEMENT), lambda b: b["predicate"].update(seed=7))
        return done

    monkeypatch.setattr(verify, "check_signable", exchanged)
    assert command("sign", "out", "--key", "a.pem").code == 0
    bundle = json.loads(Path("out/recipe/statement.sigstore.json").read_text())
    assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == checked
    assert "E142" in command("verify", "out", "--key", "a.pub").codes


def test_statement_edited_after_signing_is_refused(here):
    make_key(here / "a.pem", here / "a.pub")
    command("sign", "out", "--key", "a.pem")
    rewrite(Path("out", STATEMENT), lambda b: b["predicate"].update(time="yesterday"))
    assert command("verify", "out", "--key", "a.pub").codes == ["E138", "E142"]
    assert command("verify", "out").codes == ["E138", "E142"], "the record has another time, whoever signed"


def test_key_with_a_password(here, monkeypatch):
    make_key(here / "a.pem", here / "a.pub", password=b"open sesame")
    locked = command("sign", "out", "--key", "a.pem")
    assert locked.codes == ["E145"] and "RECIPELANG_KEY_PASSWORD" in locked.err
    monkeypatch.setenv("RECIPELANG_KEY_PASSWORD", "open sesame")
    assert command("sign", "out", "--key", "a.pem").code == 0
    assert "sesame" not in Path("out/recipe/statement.sigstore.json").read_text()


def test_keyless_bundle_is_judged_by_identity_against_a_fake(here, monkeypatch):
    """The library itself needs the public instance's roots: a fake stands for it, so only our side is tested."""
    from recipelang.provenance import signing
    from recipelang.source import fail

    payload = Path("out", STATEMENT).read_bytes()

    def keyless(bundle, identity, issuer):
        if (identity, issuer) != ("a@example.org", "https://issuer.example.org"):
            raise fail("E142", "the statement is not signed by them")
        return signing.PAYLOAD_TYPE, base64.b64decode(json.loads(bundle)["payload"])

    monkeypatch.setattr(signing, "keyless", keyless)
    path = Path("out/recipe/statement.sigstore.json")
    path.write_text(json.dumps({"payload": base64.b64encode(payload).decode()}))
    asked = ("--identity", "a@example.org", "--issuer", "https://issuer.example.org")
    ended = command("verify", "out", *asked)
    assert ended.code == 0 and "signed by a@example.org" in ended.out
    assert command("verify", "out", *asked[:3], "https://elsewhere.example.org").codes == ["E142"]
    path.write_text(json.dumps({"payload": base64.b64encode(b"{}").decode()}))
    assert command("verify", "out", *asked).codes == ["E142"]
    assert command("verify", "out", "--identity", "a@example.org").code == 2


# ---------------------------------------------------------------- inspect and diff
SAME = [("= 90%", "= 0.9"), ("model {", "# a remark\n\nmodel {"), ("1e-3 -> 0", "0.001 -> 0"), ("= scope", "=  scope")]
OTHER = [
    ("= 90%", "= 80%", "behaviour", "stage.sparse.prune.weights.sparsity"),
    ("batch = 8\n  precision", "batch = 4\n  precision", "behaviour", "stage.dense.batch"),
    (">= 0%", ">= 1%", "claims", None),
    ("[f1, exact_match]", "[f1]", "claims", "evaluate.dev.metrics"),
    ('validation = "dev.json"', 'validation = "train.json"', "references", "data.validation"),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_another_spelling_is_the_same_experiment(old, new, here):
    text = Path("tiny.recipe").read_text("utf-8")
    Path("other.recipe").write_text(text.replace(old, new), "utf-8")
    ended = command("diff", "tiny.recipe", "other.recipe", "--format", "json")
    assert (ended.code, json.loads(ended.out)["changes"]) == (0, [])


@pytest.mark.parametrize(("old", "new", "group", "path"), OTHER)
def test_change_is_told_with_its_group_and_both_places(old, new, group, path, here):
    text = Path("tiny.recipe").read_text("utf-8")
    assert old in text
    Path("other.recipe").write_text("\n" + text.replace(old, new), "utf-8")
    ended = command("diff", "tiny.recipe", "other.recipe", "--format", "json", "--no-plan")
    changes = json.loads(ended.out)["changes"]
    assert ended.code == 4
    assert (group, path) in [(c["group"], c["path"]) for c in changes]
    for change in changes:
        for side, file in (("before", "tiny.recipe"), ("after", "other.recipe")):
            if change[side]:
                assert change[side]["at"]["file"] == file and change[side]["at"]["line"] > 1


def test_metadata_alone_is_shown_and_leaves_the_experiment_the_same(here):
    text = Path("tiny.recipe").read_text("utf-8").replace('"MIT"', '"Apache-2.0"')
    Path("other.recipe").write_text(text, "utf-8")
    ended = command("diff", "tiny.recipe", "other.recipe")
    assert ended.code == 0 and "metadata" in ended.out and "Apache-2.0" in ended.out


def test_consequences_are_computed_where_models_are_at_hand(here):
    follows = json.loads(command("diff", "tiny.recipe", "tiny.recipe", "--format", "json").out)["consequences"]
    assert follows == []
    text = Path("tiny.recipe").read_text("utf-8").replace("= 90%", "= 80%")
    Path("other.recipe").write_text(text, "utf-8")
    shown = command("diff", "tiny.recipe", "other.recipe").out
    assert "non-zeros of the pruned tensors" in shown
    shutil.rmtree("model")
    ended = command("diff", "tiny.recipe", "other.recipe")
    assert ended.code == 4 and "plans not compared" in ended.out


def test_run_is_the_same_experiment_as_its_recipe(here):
    assert command("diff", "out", "tiny.recipe").code == 0


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("said", ["interrupted", "running", "failed"])
def test_a_finished_run_does_not_train_again_whatever_its_record_says(here, said, empty):
    rewrite(Path("out/run.json"), lambda b: b.update(status=said))
    if empty:
        Path("out/checkpoints/layers").mkdir(parents=True)
    before = Path("out/model.safetensors").stat().st_mtime_ns
    assert command("resume", "out").codes == ["E083"]
    assert Path("out/model.safetensors").stat().st_mtime_ns == before


def test_a_folder_in_the_place_of_the_statement(here):
    path = Path("out", STATEMENT)
    path.unlink()
    path.mkdir()
    make_key(here / "a.pem", here / "a.pub")
    for words in (["verify", "out"], ["inspect", "out"], ["sign", "out", "--key", "a.pem"], ["push", "out", "shared"]):
        assert command(*words).codes == ["E139"], words


def test_a_file_that_is_closed_to_us_fails_its_check_and_no_other(here, monkeypatch):
    """Tests may run as one who may read everything, so the system's refusal is put in its place."""

    def refused(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("recipelang.provenance.contents.sha256", refused)
    ended = command("verify", "out", "--format", "json")
    checks = json.loads(ended.out)["checks"]
    outcomes = {c["what"]: c["outcome"] for c in checks}
    assert (ended.code, {f["code"] for c in checks for f in c["findings"]}) == (5, {"E137"})
    assert (outcomes["files"], outcomes["recipe"], outcomes["weights"]) == ("failed", "ok", "ok")


@pytest.mark.parametrize("words", [["verify"], ["inspect"], ["pull"], ["sign", "--key", "a.pem"]], ids=" ".join)
def test_a_name_that_no_system_has(here, words):
    make_key(here / "a.pem", here / "a.pub")
    assert command(*words, "x" * 300).codes in (["E130"], ["E135"])
