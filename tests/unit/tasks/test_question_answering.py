"""Examples, windows, answers and their scores."""

import json
import random

import numpy as np
import pytest

from recipelang.source import RecipeError
from recipelang.tasks import question_answering as qa
from recipelang.tasks.answers import answers
from recipelang.tasks.facts import generate
from recipelang.tasks.squad_format import Example, read_file, read_records
from tests.conftest import make_data, make_model


def gold(features):
    """Logits that point at the labels, low where a window has no answer."""
    rows = np.arange(len(features))
    start = np.zeros(features.input_ids.shape, np.float32)
    end = start.copy()
    here = features.start_positions > 0
    start[rows, features.start_positions] = 10 * here
    end[rows, features.end_positions] = 10 * here
    return start, end


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return qa.load_tokenizer(make_model(tmp_path_factory.mktemp("m")))


def test_labels_decode_to_the_answers_over_overlapping_windows(tmp_path, tokenizer):
    examples = read_file(make_data(tmp_path / "d.json", 50))
    features = qa.featurize(examples, tokenizer, 16, 4)
    assert len(features) > len(examples)
    said = qa.decode(features, examples, *gold(features))
    assert said == {e.id: e.answers[0] for e in examples}


def run_qa(features, examples, start, end, n_best, longest):
    """What transformers' example script says, written out pair by pair: text, score and null score by identifier."""
    spans: dict[str, list[tuple[float, str]]] = {e.id: [] for e in examples}
    nulls: dict[str, list[float]] = {e.id: [] for e in examples}
    for row, at in enumerate(features.example_index):
        id, tokens = examples[at].id, range(features.lengths[row])
        nulls[id].append(float(start[row, 0] + end[row, 0]))
        starts = sorted(tokens, key=lambda i: -start[row, i])[:n_best]
        ends = sorted(tokens, key=lambda i: -end[row, i])[:n_best]
        for a, b in ((a, b) for a in starts for b in ends):
            offsets = features.offsets[row]
            if offsets[a, 0] >= 0 and offsets[b, 0] >= 0 and a <= b < a + longest:
                text = examples[at].context[offsets[a, 0] : offsets[b, 1]]
                spans[id].append((float(start[row, a] + end[row, b]), text))
    best = {id: max(found, key=lambda s: s[0], default=(-np.inf, "")) for id, found in spans.items()}
    return {id: (text, score, min(nulls[id])) for id, (score, text) in best.items()}


@pytest.mark.parametrize(("n_best", "longest"), [(20, 30), (3, 30), (20, 2), (1, 1), (2, 5)])
def test_answers_are_those_of_run_qa(tmp_path, tokenizer, n_best, longest):
    examples = read_file(make_data(tmp_path / "d.json", 12))
    features = qa.featurize(examples, tokenizer, 16, 4)
    random = np.random.default_rng(1)
    start, end = random.normal(size=(2, *features.input_ids.shape)).astype(np.float32)
    found = answers(features, examples, start, end, n_best, longest)
    expected = run_qa(features, examples, start, end, n_best, longest)
    assert {id: (a.text, a.score, a.null) for id, a in found.items()} == expected
    assert n_best > 1 or any(a.text == "" for a in found.values())
    assert qa.decode(features, examples, start, end, n_best, longest) == {i: t for i, (t, _, _) in expected.items()}


def test_tokens_of_the_question_take_places_among_the_best_and_padding_takes_none(tmp_path, tokenizer):
    examples = read_file(make_data(tmp_path / "d.json", 12))
    features = qa.featurize(examples, tokenizer, 32, 8)
    start, end = gold(features)
    outside = features.offsets[:, :, 0] < 0
    tokens = np.arange(features.width) < features.lengths[:, None]
    crowd = int((outside & tokens).sum(1).min())
    for logits in (start, end):
        logits[outside & ~tokens] = 99
    assert qa.decode(features, examples, start, end, crowd) == {e.id: e.answers[0] for e in examples}
    for logits in (start, end):
        logits[outside & tokens] = 99
    assert set(qa.decode(features, examples, start, end, crowd).values()) == {""}
    assert qa.decode(features, examples, start, end, 99) == {e.id: e.answers[0] for e in examples}


def test_batch_is_padded_to_its_longest_row_in_eights(tmp_path, tokenizer):
    features = qa.featurize(read_file(make_data(tmp_path / "d.json", 20)), tokenizer, 32, 8)
    batch = qa.collate(features, [0, 1, 2])
    width = batch["input_ids"].shape[1]
    assert width - 8 < features.lengths[:3].max() <= width
    assert batch["attention_mask"].sum(1).tolist() == features.lengths[:3].tolist()


def test_scores_equal_torchmetrics_on_random_answers():
    from torchmetrics.text import SQuAD

    rng = random.Random(3)
    words = ["The river", "a boat", "river", "Seine,", "in", "Paris!", "an x", "42", "x-ray"]
    examples, said, predictions, targets = [], {}, [], []
    for i in range(300):
        answers = tuple(" ".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(rng.randint(1, 3)))
        said[str(i)] = " ".join(rng.choices(words, k=rng.randint(1, 4)))
        examples.append(Example(str(i), "q", "c", answers, (0,) * len(answers)))
        predictions.append({"id": str(i), "prediction_text": said[str(i)]})
        targets.append({"id": str(i), "answers": {"text": list(answers), "answer_start": [0] * len(answers)}})
    theirs = SQuAD()(predictions, targets)
    ours = qa.score(said, examples)
    assert ours["f1"] * 100 == pytest.approx(float(theirs["f1"]), abs=1e-3)
    assert ours["exact_match"] * 100 == pytest.approx(float(theirs["exact_match"]), abs=1e-3)


def test_answer_of_an_article_alone_scores_as_the_official_script_scores_it():
    # evaluate-v1.1.py: no common word after normalisation, so F1 is 0 although the texts are equal
    example = Example("1", "q", "a", ("a",), (0,))
    assert qa.score({"1": "a"}, [example]) == {"f1": 0.0, "exact_match": 1.0}


def test_real_squad_is_read_and_its_labels_decode(shared):
    examples = read_file(shared / "data" / "squad" / "dev-v1.1.json")
    assert len(examples) == 10_570
    train = read_file(shared / "data" / "squad" / "train-v1.1-44articles.json")
    assert len(train) == 11_877


@pytest.mark.parametrize("split", ["train", "validation"])
def test_facts_are_whole_and_the_same_every_time(split):
    data = generate(split)
    assert data == generate(split)
    assert len(read_records(data, "facts")) > 500


def test_facts_of_validation_are_about_things_training_never_names():
    asked = {
        s: {qa["question"] for a in generate(s)["data"] for p in a["paragraphs"] for qa in p["qas"]}
        for s in ("train", "validation")
    }
    assert not asked["train"] & asked["validation"]


@pytest.mark.parametrize(
    "content, code, said",
    [
        (b"\xff\xfe\x00", "E074", "UTF-8"),
        (b"", "E074", "empty"),
        (b"{", "E074", "not JSON"),
        (b"[" * 100_000, "E074", "not JSON"),
        (b'{"rows": []}', "E074", "`rows`"),
        (b'{"data": [{"paragraphs": [{"qas": [{"id": "1"}]}]}]}', "E074", "question"),
        (b'[{"question": "q", "context": "c", "answers": {}, "id": 1}]', "", ""),
        (b'[{"q": "q", "context": "c", "answers": {}}]', "E074", "`question`"),
        (b'[{"question": "q", "context": "c", "answers": "x"}]', "E074", "str"),
        (
            b'[{"question": "q", "context": "abc", "answers": {"text": ["b"], "answer_start": [0]}}]',
            "E075",
            "write 1: the answer begins there",
        ),
        (
            b'[{"question": "q", "context": "abc", "answers": {"text": ["z"], "answer_start": [0]}}]',
            "E075",
            "does not hold",
        ),
        (b'[{"question": 3, "context": "abc", "answers": {}}]', "E075", "the question is int"),
    ],
)
def test_bad_data_is_a_coded_error_that_says_what_is_there(tmp_path, content, code, said):
    path = tmp_path / "d.json"
    path.write_bytes(content)
    if not code:
        assert len(read_file(path)) == 1
        return
    with pytest.raises(RecipeError) as error:
        read_file(path)
    found = error.value.diagnostics[0]
    assert found.code == code
    assert said in " ".join((found.message, *found.help, *found.notes))


def test_parquet_of_the_hub_is_read_and_a_table_of_text_refused(tmp_path):
    import datasets

    row = {"id": "7", "question": "who", "context": "it is me", "answers": {"text": ["me"], "answer_start": [6]}}
    datasets.Dataset.from_list([row]).to_parquet(tmp_path / "d.parquet")
    assert read_file(tmp_path / "d.parquet") == (Example("7", "who", "it is me", ("me",), (6,)),)
    (tmp_path / "d.csv").write_text("id,question,context,answers\n", "utf-8")
    with pytest.raises(RecipeError, match="questions cannot be read"):
        read_file(tmp_path / "d.csv")


def test_columns_can_be_named(tmp_path):
    path = tmp_path / "d.jsonl"
    row = {"q": "who", "text": "it is me", "answer": [{"text": "me", "answer_start": 6}]}
    path.write_text(json.dumps(row) + "\n", "utf-8")
    found = read_file(path, {"question": "q", "context": "text", "answers": "answer"})
    assert found[0].answers == ("me",)
