"""Chats become rows of tokens whose labels are those of the answers, in the words of the model's own template."""

from __future__ import annotations

import datetime
import io
import json
import math
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from recipelang import chat_renderer
from recipelang.engine.sources import unchanged
from recipelang.engine.statement import run_digest
from recipelang.loading.plan import planned
from recipelang.loading.read import check_all
from recipelang.modifiers.distill import Distill, following
from recipelang.modifiers.distill_terms import kd_loss
from recipelang.planning.data import load_split
from recipelang.planning.facts import model_digest
from recipelang.planning.identities import identities
from recipelang.planning.types import Plan
from recipelang.report.plan_screen import full
from recipelang.source import RecipeError, Source
from recipelang.spec.canonical import digest, spec_digest
from recipelang.tasks import causal_lm, chat_rows, chat_template, masked_lm
from recipelang.tasks.chat_rows import ChatRows
from recipelang.tasks.chat_template import ChatTemplate, Renderer, read_template
from recipelang.tasks.meaning import Meaning
from tests.decoders import CHATML, MARKED, chat, make_chats, make_instruct_folder
from tests.unit.validation.whole_plan import whole

START, END = "<|im_start|>", "<|im_end|>"
PAIR = chat("the gold", "of peru", "who", "a city")


class Here(Renderer):
    """The same as the process gives, without a process."""

    def __enter__(self):  # as the other, without its lock
        t = self.template
        self._made = chat_renderer.Template(t.text, t.tokens, t.marked)
        return self

    def __exit__(self, *_):
        pass

    def _tell(self, value):
        self._told = [chat_renderer.answer(self._made, messages) for messages in json.loads(json.dumps(value))]

    def _hear(self):
        return json.loads(json.dumps(self._told.pop(0)))


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(chat_rows, "Renderer", Here)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_instruct_folder(tmp_path_factory.mktemp("instruct") / "model")


def with_template(model: Path, folder: Path, template: str | None, **config: object) -> Path:
    """The tokenizer of a model with another template, without the weights."""
    folder.mkdir()
    for name in ("tokenizer.json", "config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    own = json.loads((model / "tokenizer_config.json").read_text("utf-8")) | {"chat_template": template} | config
    (folder / "tokenizer_config.json").write_text(json.dumps(own), "utf-8")
    return folder


def rows_of(folder: Path, *chats, length: int = 64) -> ChatRows:
    name = folder.parent / "chats.json"
    name.write_text(json.dumps([{"messages": c} for c in chats]), "utf-8")
    examples = causal_lm.TASK.open_split(str(name), "train")
    return causal_lm.featurize(examples, causal_lm.load_tokenizer(folder), length, 0)


def spelt(folder: Path, row) -> list[str]:
    """The words of labels, `-` where there is none."""
    tokenizer = causal_lm.load_tokenizer(folder).tokenizer
    return ["-" if i < 0 else tokenizer.id_to_token(int(i)) for i in row]


def refusal(call) -> tuple[str, str]:
    with pytest.raises(RecipeError) as error:
        call()
    (found,) = error.value.diagnostics
    return found.code, " | ".join((found.message, *found.help, *found.notes))


# ------------------------------------------------------------------------ masks
@pytest.mark.usefixtures("at_once")
def test_labels_are_what_stands_between_the_prompt_and_the_end_of_an_answer(model):
    rows = rows_of(model, PAIR)
    batch = rows.batch([0])
    whole = [START, "user", "the", "gold", END, START, "assistant", "of", "peru", END]
    whole += [START, "user", "who", END, START, "assistant", "a", "city", END]
    assert spelt(model, batch["input_ids"][0])[: len(whole)] == whole
    answers = ["-"] * 7 + ["of", "peru", END] + ["-"] * 6 + ["a", "city", END]
    assert spelt(model, batch["labels"][0])[: len(whole)] == answers
    assert batch["attention_mask"][0].tolist() == [1] * 19 + [0] * 5  # a multiple of 8
    assert set(batch["labels"][0][19:].tolist()) == {-100}
    assert (rows.tokens_read, rows.tokens_predicted, rows.predicted()) == (19, 6, 6)


@pytest.mark.usefixtures("at_once")
def test_labels_are_what_a_template_marks(model, tmp_path):
    folder = with_template(model, tmp_path / "m", MARKED.replace("{{ m.content }}<|im_end|>{% endg", "{{ m.content }}{% endg").replace("{% endgeneration %}", "{% endgeneration %}<|im_end|>"))  # fmt: skip
    labels = spelt(folder, rows_of(folder, PAIR).batch([0])["labels"][0])[:19]
    assert labels == ["-"] * 7 + ["of", "peru"] + ["-"] * 7 + ["a", "city", "-"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_tokens_and_marks_are_those_of_transformers(model, tmp_path, template):
    from transformers import AutoTokenizer

    folder = with_template(model, tmp_path / "m", template)
    chats = [PAIR, chat("who", "gold", system="the  city"), chat("a\nb", " of ")]
    rows = rows_of(folder, *chats)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    marked = template == MARKED
    for i, messages in enumerate(chats):
        told = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=marked)
        ours = rows.batch([i], width=40)
        size = int(rows.lengths[i])
        assert ours["input_ids"][0][:size].tolist() == told["input_ids"]
        if marked:
            assert (ours["labels"][0][:size] >= 0).tolist() == [bool(m) for m in told["assistant_masks"]]


@pytest.mark.usefixtures("at_once")
def test_what_stands_first_is_not_predicted(model, tmp_path):
    folder = with_template(model, tmp_path / "m", "{% for m in messages %}{{ m.content }} {% endfor %}")
    rows = rows_of(folder, [{"role": "assistant", "content": "the gold"}, *chat("who", "a")])
    assert spelt(folder, rows.batch([0])["labels"][0])[:4] == ["-", "gold", "-", "a"]
    assert rows.predicted() == 2


@pytest.mark.usefixtures("at_once")
def test_a_chat_is_cut_at_the_limit_and_one_without_an_answer_left_out(model):
    rows = rows_of(model, PAIR, chat("the " * 20, "gold"), chat("a", "b"), length=9)
    assert (len(rows), rows.cut, rows.unanswered) == (2, 2, 1)
    assert rows.width == 9 and rows.batch([0])["input_ids"].shape == (1, 9)
    assert spelt(model, rows.batch([0])["labels"][0]) == ["-"] * 7 + ["of", "peru"]
    code, said = refusal(lambda: rows_of(model, PAIR, length=7))
    assert code == "E075" and "raise `max_length`" in said


@pytest.mark.usefixtures("at_once")
def test_samples_are_drawn_from_all_chats(model):
    rows = rows_of(model, *(chat("the", word) for word in ("gold", "iron", "city", "river", "paris")))
    first, drawn = rows.some(2, None), rows.some(2, 3)
    chosen = np.sort(np.random.default_rng(3).permutation(5)[:2])
    assert np.array_equal(drawn.batch([0, 1])["input_ids"], rows.batch(chosen)["input_ids"])
    assert np.array_equal(first.batch([0, 1])["labels"], rows.batch([0, 1])["labels"])
    assert drawn.predicted() == 4 and rows.predicted() == 10


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("template", "words"),
    [
        # the first answer is shown only while it is the last message, as with thoughts that are dropped later
        (
            "{% for m in messages %}{{ m.role }} {% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %} {% endfor %}",
            "`of peru ` where the whole chat has ` user who assistant a ci`",
        ),
        # the prompt is not what the answer stands behind
        (
            "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}who{% endif %}",
            "`who` where the whole chat has `assistant of peru user w`",
        ),
        # text agrees, tokens do not: what an answer begins with grows together with the prompt
        (
            "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}assis{% endif %}",
            "`<unk>` where the whole chat has `assistant of peru`",
        ),
    ],
)
def test_answers_that_prefixes_do_not_locate_are_refused(model, tmp_path, template, words):
    code, said = refusal(lambda: rows_of(with_template(model, tmp_path / "m", template), PAIR))
    assert code == "E233" and "record 0 of `chats.json`" in said and "{% generation %}" in said
    assert f"rendered up to message 1, the chat has {words}" in said


# ---------------------------------------------------------------- loss and metrics
@pytest.mark.usefixtures("at_once")
def test_perplexity_is_that_of_the_tokens_of_answers(model):
    rows = rows_of(model, PAIR, chat("the gold of the river", "iron"))
    batch = {k: torch.from_numpy(v) for k, v in rows.batch([0, 1]).items()}
    logits = torch.randn(2, batch["labels"].shape[1], 40, generator=torch.Generator().manual_seed(0))
    kept = causal_lm.kept(types.SimpleNamespace(logits=logits), batch)
    losses = []
    for row in range(2):
        for place in range(1, logits.shape[1]):
            if (token := int(batch["labels"][row, place])) >= 0:
                losses.append(-float(logits[row, place - 1].log_softmax(-1)[token]))
    assert len(losses) == rows.predicted() == 8
    found = causal_lm.measure({k: v.numpy() for k, v in kept.items()}, rows, ())
    assert found["perplexity"] == pytest.approx(math.exp(sum(losses) / 8), rel=1e-5)


def test_logits_are_compared_where_they_predict_an_answer():
    labels = torch.tensor([[-100, 5, 6, -100], [-100, -100, -100, 3]])
    assert following(labels).tolist() == [[True, True, False, False], [False, False, True, False]]
    draw = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 2, 4, 7, generator=draw)
    mine = [kd_loss(student[:1, :2], teacher[:1, :2], 2.0), kd_loss(student[1:, 2:3], teacher[1:, 2:3], 2.0)]
    assert kd_loss(student, teacher, 2.0, following(labels)) == pytest.approx(float(sum(mine)) / 2)
    outputs = types.SimpleNamespace(logits=student)
    term = types.SimpleNamespace(kind="output", output="logits", widths=None, layers=(), weight=())
    plan = types.SimpleNamespace(terms=(term,), hardness=(), temperature=())
    batch = {"labels": labels, "attention_mask": torch.ones(2, 4)}
    state = types.SimpleNamespace(outputs=outputs, batch=batch, step=0, loss=torch.zeros(()))
    import recipelang.modifiers.distill as module

    always = pytest.MonkeyPatch()
    always.setattr(module, "at", lambda schedule, step: 1.0)
    try:
        found = {
            compared: float(
                Distill(plan, None, ("logits",), compared=compared)._distilled(
                    state, types.SimpleNamespace(logits=teacher)
                )
            )
            for compared in ("answers", "tokens", "targets", "labelled")
        }
    finally:
        always.undo()
    assert found["answers"] == pytest.approx(float(kd_loss(student, teacher, 1.0, following(labels))))
    assert found["tokens"] == pytest.approx(float(kd_loss(student, teacher, 1.0)))
    assert found["targets"] == pytest.approx(float(kd_loss(student, teacher, 1.0, labels >= 0)))
    assert found["labelled"] == found["answers"]
    assert float(kd_loss(student, teacher, 1.0, torch.zeros_like(labels))) == 0  # an item without answers adds nothing


# ------------------------------------------------------------------------- data
def message(role="user", content="the", **more):
    return {"role": role, "content": content, **more}


BAD = {
    "no list": ("hello", "the chat in record 1 of `chats.json` is not a list"),
    "null": (None, "it is null"),
    "no messages": ([], "has no messages"),
    "no answer": ([message()], "has no message of the `assistant`"),
    "no object": (["hi"], "message 0 of record 1 of `chats.json` is not an object"),
    "no role": ([{"content": "a"}], "has no `role`"),
    "other names": ([{"from": "human", "value": "a"}], "rename `from` to `role`"),
    "other role": ([message("human")], "did you mean `user`"),
    "unknown role": ([message("narrator")], "write `system`, `user` or `assistant`"),
    "role that is no text": ([message(7)], "has the role `7`"),
    "empty": ([message(content=" \n")], "the content of message 0 of record 1 of `chats.json` is empty"),
    "missing": ([{"role": "user"}], "it is missing"),
    "number": ([message(content=3)], "it is int"),
    "parts": ([message(content=[{"type": "text", "text": "a"}])], "it is a list of parts"),
    "half a character": ([message(content="\ud800")], "it is broken text"),
    "tool": ([message("tool")], "its role is `tool`"),
    "call": ([message(tool_calls=[{"id": 1}])], "it has `tool_calls`"),
    "no JSON": ([message(score=math.nan)], "holds more than text and numbers"),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_a_bad_chat_is_refused_at_its_record_and_message(tmp_path, value):
    chat_of, words = value
    rows = [{"messages": PAIR}, {"messages": chat_of}]
    (tmp_path / "chats.json").write_text(json.dumps(rows), "utf-8")
    code, said = refusal(lambda: causal_lm.TASK.open_split(str(tmp_path / "chats.json"), "train"))
    assert code == "E075" and words in said


def test_what_a_message_holds_beside_is_handed_on(tmp_path):
    given = [message(name="a", tool_calls=None), message("assistant", reasoning_content="b", tool_calls=[])]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"messages": given}) + "\n", "utf-8")
    (found,) = causal_lm.TASK.open_split(str(tmp_path / "chats.jsonl"), "train")
    assert [dict(m) for m in found.messages] == [
        message(name="a"),
        message("assistant", reasoning_content="b"),
    ]


def decided(folder: Path, wanted: dict[str, str] | None = None, task=causal_lm, **splits):
    found = {}
    for name, rows in splits.items():
        path = folder / f"{name}.{'txt' if isinstance(rows, str) else 'json'}"
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows), "utf-8")
        found[name] = task.TASK.read(str(path), name, wanted, None)
    return task.TASK.decide(found, Meaning(columns=wanted or {}))


def test_columns_of_chats_are_found_or_named(tmp_path):
    row = {"id": "7", "messages": PAIR, "split": "x"}
    assert decided(tmp_path, train=[row]).columns == {"messages": "messages"}
    assert decided(tmp_path, train=[row]).unused == ("id", "split")
    assert decided(tmp_path, train=[{"id": "7", "conversations": PAIR}]).columns == {"messages": "conversations"}
    assert decided(tmp_path, {"messages": "talk"}, train=[{"talk": PAIR}]).columns == {"messages": "talk"}
    # text first, as before there were chats
    assert decided(tmp_path, train=[row | {"text": "the"}]).columns == {"text": "text"}
    assert decided(tmp_path, {"text": "id"}, train=[row]).columns == {"text": "id"}
    # a column of this name that holds texts holds texts
    assert decided(tmp_path, train=[{"messages": "the gold"}]).columns == {"text": "messages"}
    # and a task of texts reads texts
    assert decided(tmp_path, task=masked_lm, train=[row]).columns == {"text": "text"}


def test_splits_of_texts_and_of_chats_are_two_data_sets(tmp_path):
    row = {"messages": PAIR}
    code, said = refusal(lambda: decided(tmp_path, train=[row], validation="the gold of the city"))
    assert code == "E074" and "`validation` holds texts" in said
    code, said = refusal(lambda: decided(tmp_path, {"messages": "messages", "text": "text"}, train=[row]))
    assert code == "E074" and "both named" in said
    (tmp_path / "lacks.json").write_text(json.dumps([row, {"id": 1}]), "utf-8")
    assert refusal(lambda: causal_lm.TASK.open_split(str(tmp_path / "lacks.json"), "train"))[0] == "E074"


def test_chats_come_from_parquet_and_never_from_cells(tmp_path):
    import pyarrow
    from pyarrow import parquet

    kept = [message(name=None), message("assistant", "gold", name="b")]
    parquet.write_table(pyarrow.Table.from_pylist([{"messages": kept}]), tmp_path / "a.parquet")
    (found,) = causal_lm.TASK.open_split(str(tmp_path / "a.parquet"), "train")
    assert [dict(m) for m in found.messages] == [message(), message("assistant", "gold", name="b")]
    (tmp_path / "a.csv").write_text('messages\n"[1]"\n', "utf-8")
    code, said = refusal(lambda: causal_lm.TASK.open_split(str(tmp_path / "a.csv"), "train", {"messages": "messages"}))
    assert code == "E075" and "`.csv` and `.tsv` cannot hold them" in said


# -------------------------------------------------------------------- templates
def test_a_template_is_taken_from_where_transformers_takes_it(model, tmp_path):
    folder = with_template(model, tmp_path / "m", None)
    code, said = refusal(lambda: read_template(folder))
    assert code == "E230" and "`chat_template.jinja`, `tokenizer_config.json`, `chat_template.json`" in said
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "old"}), "utf-8")
    assert read_template(folder).text == "old"
    several = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "listed"}]
    with_template(model, tmp_path / "n", several)  # type: ignore[arg-type]
    (folder / "tokenizer_config.json").write_bytes((tmp_path / "n" / "tokenizer_config.json").read_bytes())
    assert read_template(folder).text == "listed"
    (folder / "chat_template.jinja").write_text("own file", "utf-8")
    assert read_template(folder).text == "own file"
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.jinja").mkdir()
    assert refusal(lambda: read_template(folder))[0] == "E076"


def test_special_tokens_are_those_that_transformers_gives_a_template(model, tmp_path):
    from transformers import AutoTokenizer

    text = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ image_token }}|{{ pad_token }}"
    more = {
        "bos_token": {"content": "<|im_start|>", "__type": "AddedToken", "lstrip": False, "special": True},
        "pad_token": None, "image_token": "gold", "add_bos_token": True,
    }  # fmt: skip
    folder = with_template(model, tmp_path / "m", text, **more)
    found = read_template(folder)
    assert found.tokens == AutoTokenizer.from_pretrained(folder).special_tokens_map
    rendered = chat_renderer.Template(found.text, found.tokens, found.marked).render(PAIR)
    assert rendered == "<|im_start|>|<|im_end|>|<unk>|gold|"
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "</s>"}), "utf-8")
    assert read_template(folder).tokens == AutoTokenizer.from_pretrained(folder).special_tokens_map
    assert read_template(folder).digest != found.digest


def test_a_token_that_a_template_names_and_no_file_does_is_refused(model, tmp_path):
    folder = with_template(model, tmp_path / "m", "{{ bos_token }}{{ messages[0].content }}")
    code, said = refusal(lambda: read_template(folder))
    assert code == "E230" and "uses `bos_token`" in said
    with_template(model, tmp_path / "n", "{{ bos_token }}", bos_token=None)
    assert "bos_token" not in read_template(tmp_path / "n").tokens


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("template", "code", "words"),
    [
        ("{% for %}", "E231", "is not valid Jinja"),
        ("{{ raise_exception('no system role') }}", "E231", "the template reports: no system role"),
        ("{{ nothing.at_all }}", "E231", "'nothing' is undefined"),
        ("{% include '/etc/passwd' %}", "E231", "no loader"),
        ("{{ ''.__class__.__mro__ }}", "E231", "unsafe"),
        ("{{ messages.append(1) }}", "E231", "the template reports"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "E231", "recursion"),
        ("{{ 'a' * 1000000 }}", "E232", "1,000,000 characters"),
        ("{{ '\\ud800' }}", "E231", "broken text"),
        ("{{ raise_exception('a\\ud800\\x1b[31m') }}", "E231", "the template reports: a?"),
    ],
)
def test_a_template_that_fails_is_a_finding_at_its_record(model, tmp_path, template, code, words):
    folder = with_template(model, tmp_path / "m", template)
    found, said = refusal(lambda: rows_of(folder, PAIR))
    assert found == code and words in said


def test_a_process_renders_with_a_fixed_date_and_fixed_chance(tmp_path):
    text = "{{ strftime_now('%d %b %Y') }} {{ range(1000) | random }} {{ messages[0].content }}"
    chats = [chat("é", "a"), chat("b", "c"), chat("é", "a")]
    found = []
    for _ in range(2):
        with Renderer(ChatTemplate("{% generation %}" + text + "{% endgeneration %}", {}, tmp_path)) as renderer:
            found.append(renderer.answers(chats, ["x"] * 3))
    assert found[0] == found[1] and found[0][0] == found[0][2]
    assert found[0][0]["text"].startswith(f"{datetime.date(2024, 7, 26):%d %b %Y} ")
    assert found[0][0]["text"].endswith(" é")


def test_a_process_that_has_ended_is_started_again(tmp_path):
    template = ChatTemplate("{{ messages[0].content }}", {}, tmp_path)
    for _ in range(2):
        with Renderer(template) as renderer:
            assert renderer.answers([[*PAIR[:1]]], ["x"])[0]["text"] == "the gold"
        (kept,) = chat_template._KEPT
        kept._process.kill()
        kept._process.wait()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "within 1 second"),
        ("{{ 'a' * 10 ** 10 }}", "memory"),
    ],
)
def test_a_template_that_takes_all_time_or_memory_is_stopped(tmp_path, monkeypatch, template, words):
    if "second" in words:
        monkeypatch.setattr(chat_template, "SECONDS", 1.0)

    def render():
        with Renderer(ChatTemplate(template, {}, tmp_path)) as renderer:
            renderer.answers([PAIR], ["record 0 of `x`"])

    code, said = refusal(render)
    assert code == "E232" and words in said and "record 0 of `x`" in said


def test_the_process_opens_no_file(tmp_path):
    """Whatever a template found its way to: the system refuses."""
    import subprocess
    import sys

    (tmp_path / "secret").write_text("s")
    program = "from recipelang.chat_renderer import confine; confine(); open('secret')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Too many open files" in done.stderr


def test_a_process_that_does_not_start_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(chat_template, "_KEPT", [])
    monkeypatch.setattr(chat_template.sys, "executable", "/bin/false")
    code, said = refusal(lambda: Renderer(ChatTemplate("", {}, tmp_path)).__enter__())
    assert code == "E231" and "jinja2" in said


RECIPE = """recipe 1 "chat"
model { base = "model", task = causal_lm }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 48 tokens }
stage cut {
  mode = one_shot
  prune weights { targets = @linear & @decoder, method = wanda, sparsity = 50% }
}
evaluate dev { metrics = [perplexity] }
"""


@pytest.mark.usefixtures("at_once")
def test_a_plan_tells_of_chats_and_its_run_stops_when_the_template_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = make_instruct_folder(tmp_path / "model")
    make_chats(tmp_path / "train.jsonl", 6)
    make_chats(tmp_path / "dev.jsonl", 3, seed=1)
    (tmp_path / "a.recipe").write_text(RECIPE, "utf-8")
    recipe, plan, _ = planned("a.recipe")
    (data,) = plan.data
    assert data.chat.pad == "</s>" and not data.chat.marked
    assert data.items == {"train": 6, "validation": 3}
    examples, rows = load_split(data, "train", folder)
    assert data.tokens_read["train"] == len(rows.tokens) and len(examples) == 6
    assert data.tokens_predicted["train"] == int((rows.labels >= 0).sum())
    shown = io.StringIO()
    Console(file=shown, width=200).print(full(recipe, plan, 200))
    said = " ".join(shown.getvalue().split())
    assert (
        f"loss on answers only: {data.tokens_predicted['train']} of {data.tokens_read['train']} tokens of train" in said
    )
    assert "located by prefixes of each chat; rows are padded with </s>, masked in attention and loss" in said

    unchanged(plan)
    before = run_digest(plan, None, [{}])
    (folder / "chat_template.jinja").write_text(MARKED, "utf-8")
    assert refusal(lambda: unchanged(plan))[0] == "E195"
    _, other, _ = planned("a.recipe")
    assert other.data[0].chat.marked and other.model.digest == plan.model.digest
    assert run_digest(other, None, [{}]) != before
    assert other.spec_digest == plan.spec_digest
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert refusal(lambda: unchanged(plan))[0] == "E195"


def test_a_recipe_that_names_chats_has_the_template_in_its_spec_digest(tmp_path):
    folder = make_instruct_folder(tmp_path / "model")
    digests = []
    for columns in ('columns { messages = "messages" }', ""):
        text = RECIPE.replace("48 tokens }", f"48 tokens\n{columns}\n}}")
        recipe = check_all(Source("a.recipe", text), {}).recipe
        for template in ("{{ messages }}", "{{ messages }}!"):
            (folder / "chat_template.jinja").write_text(template, "utf-8")
            make_chats(tmp_path / "train.jsonl", 2)
            make_chats(tmp_path / "dev.jsonl", 2)
            digests.append(spec_digest(recipe, identities(recipe, tmp_path)))
        (folder / "chat_template.jinja").unlink()
    assert len(set(digests)) == 3 and digests[2] == digests[3]
    (folder / "tokenizer_config.json").write_text("{}", "utf-8")  # no template: the plan says so, and no digest fails
    assert identities(recipe, tmp_path)["model"] == model_digest(folder)


def test_a_plan_of_texts_has_the_run_digest_that_it_had(tmp_path):
    plan = Plan.model_validate_json(json.dumps(whole()), strict=True)
    bare = plan.model_copy(update={"data": tuple(d.model_copy(update={"chat": None}) for d in plan.data)})
    form = {
        "spec": bare.spec_digest, "lock": None, "model": bare.model.digest, "plugins": bare.plugins,
        "seed": str(bare.seed), "rehearsal": None, "environments": [],
    }  # fmt: skip
    assert run_digest(bare, None, []) == digest(form) != run_digest(plan, None, [])


def test_damaged_configs_are_findings(model, tmp_path):
    folder = with_template(model, tmp_path / "m", CHATML)
    (folder / "tokenizer_config.json").write_text("{", "utf-8")
    assert refusal(lambda: read_template(folder))[0] == "E076"
