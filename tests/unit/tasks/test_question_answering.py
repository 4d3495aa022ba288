"""Examples, windows, answers and their scores."""

import json
import random

import numpy as np
import pytest

from recipelang.source import RecipeError
from recipelang.tasks import question_answering as qa, squad_scores
from recipelang.tasks.answers import answers
from recipelang.tasks.facts import generate
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.squad_format import Example, read_file, read_records
from tests.conftest import make_data, make_model


def gold(features):
    """Logits that point at the labels, low where a window has no answer."""
    rows = np.arange(len(features))
    start = np.zeros((len(features), features.width), np.float32)
    end = start.copy()
    here = features.start_positions > 0
    start[rows, features.start_positions] = 10 * here
    end[rows, features.end_positions] = 10 * here
    return start, end


def said_of(*given):
    return {id: answer.text for id, answer in answers(*given).items()}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return qa.load_tokenizer(make_model(tmp_path_factory.mktemp("m")))


def test_labels_decode_to_the_answers_over_overlapping_windows(tmp_path, tokenizer):
    examples = read_file(make_data(tmp_path / "d.json", 50))
    features = qa.featurize(examples, tokenizer, 16, 4)
    assert len(features) > len(examples)
    said = said_of(features, examples, *gold(features))
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
    start, end = random.normal(size=(2, len(features), features.width)).astype(np.float32)
    found = answers(features, examples, start, end, n_best, longest)
    expected = run_qa(features, examples, start, end, n_best, longest)
    assert {id: (a.text, a.score, a.null) for id, a in found.items()} == expected
    assert n_best > 1 or any(a.text == "" for a in found.values())
    assert said_of(features, examples, start, end, n_best, longest) == {i: t for i, (t, _, _) in expected.items()}


def test_tokens_of_the_question_take_places_among_the_best_and_padding_takes_none(tmp_path, tokenizer):
    examples = read_file(make_data(tmp_path / "d.json", 12))
    features = qa.featurize(examples, tokenizer, 32, 8)
    start, end = gold(features)
    outside = features.offsets[:, :, 0] < 0
    tokens = np.arange(features.width) < features.lengths[:, None]
    crowd = int((outside & tokens).sum(1).min())
    for logits in (start, end):
        logits[outside & ~tokens] = 99
    assert said_of(features, examples, start, end, crowd) == {e.id: e.answers[0] for e in examples}
    for logits in (start, end):
        logits[outside & tokens] = 99
    assert set(said_of(features, examples, start, end, crowd).values()) == {""}
    assert said_of(features, examples, start, end, 99) == {e.id: e.answers[0] for e in examples}


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
    ours = squad_scores.version_1(said, examples)
    assert ours["f1"] * 100 == pytest.approx(float(theirs["f1"]), abs=1e-3)
    assert ours["exact_match"] * 100 == pytest.approx(float(theirs["exact_match"]), abs=1e-3)


def test_answer_of_an_article_alone_scores_as_the_official_script_scores_it():
    # evaluate-v1.1.py: no common word after normalisation, so F1 is 0 although the texts are equal
    example = Example("1", "q", "a", ("a",), (0,))
    assert squad_scores.version_1({"1": "a"}, [example]) == {"f1": 0.0, "exact_match": 1.0}


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
            "does not contain",
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


# ------------------------------------------------------- questions without an answer
PASSAGE = "the gold of peru"


def question(id, **more):
    return {"id": id, "question": "what", "context": PASSAGE, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"answers": []},
        {"answers": {"text": [], "answer_start": []}},
        {"answers": {"text": [""], "answer_start": [-1]}},
        {"answers": [], "is_impossible": True, "plausible_answers": [{"text": "gold", "answer_start": 4}]},
    ],
)
def test_a_question_has_no_answer_in_every_usual_way_to_say_so(more, tokenizer):
    (example,) = read_records([question("1", **more)], "d")
    assert example.answers == ()
    features = qa.featurize([example], tokenizer, 16, 4)
    assert (features.start_positions[0], features.end_positions[0], features.lost) == (0, 0, ())
    assert len(features.learnable([example])) == 1


def test_marks_that_contradict_the_answers_are_refused():
    answers = [{"text": "gold", "answer_start": 4}]
    for marked, given in ((True, answers), (False, []), ("no", answers)):
        with pytest.raises(RecipeError) as error:
            read_records([question("1", answers=given, is_impossible=marked)], "d")
        assert error.value.diagnostics[0].code == "E075"


def test_a_split_whose_answers_are_hidden_is_refused_and_one_of_marked_questions_is_not(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps([question("1", answers=[])]), "utf-8")
    with pytest.raises(RecipeError) as error:
        qa.TASK.open_split(str(path), "test")
    assert error.value.diagnostics[0].code == "E074"
    path.write_text(json.dumps([question("1", answers=[], is_impossible=True)]), "utf-8")
    assert len(qa.TASK.open_split(str(path), "test")) == 1


def test_a_question_without_the_word_answers_is_not_one_without_an_answer():
    asked = [
        {"id": "1", "question": "who", "answers": [{"text": "gold", "answer_start": 4}]},
        {"id": "2", "question": "q"},
    ]
    data = {"data": [{"paragraphs": [{"context": "all gold", "qas": asked}]}]}
    with pytest.raises(RecipeError) as error:
        read_records(data, "d")
    assert "question `2` of `d` has no `answers`" in error.value.diagnostics[0].message
    asked[1]["is_impossible"] = True
    assert [e.answers for e in read_records(data, "d")] == [("gold",), ()]


@pytest.mark.parametrize("start", [True, False, 4.0, "4", None])
def test_an_offset_is_a_whole_number(start):
    with pytest.raises(RecipeError) as error:
        read_records([question("1", answers={"text": ["gold"], "answer_start": [start]})], "d")
    assert "without an offset" in error.value.diagnostics[0].message


def test_ids_that_no_record_has_are_not_said_to_be_read(tmp_path):
    path = tmp_path / "d.json"
    for more, expected in (({}, True), ({"id": None}, False)):
        row = question("1", answers={"text": ["gold"], "answer_start": [4]}) | more
        path.write_text(json.dumps([{k: v for k, v in row.items() if v is not None}]), "utf-8")
        meaning = qa.decide({"train": qa.read(str(path), "train", None, None)}, Meaning())
        assert ("id" in meaning.columns) is expected


def official(predictions, examples):
    """The evaluation of SQuAD 2.0, as its script goes: raw scores, then means over all, answerable, unanswerable."""
    exact, f1 = {}, {}
    for e in examples:
        gold = [a for a in e.answers if squad_scores.normalise(a)] or [""]
        said = squad_scores.normalise(predictions[e.id]).split()
        each = []
        for answer in (squad_scores.normalise(a).split() for a in gold):
            same = sum(min(said.count(w), answer.count(w)) for w in set(said))
            if not said or not answer:
                each.append(float(said == answer))
            else:
                p, r = same / len(said), same / len(answer)
                each.append(2 * p * r / (p + r) if same else 0.0)
        f1[e.id] = max(each)
        exact[e.id] = max(float(squad_scores.normalise(predictions[e.id]) == squad_scores.normalise(a)) for a in gold)
    has = [e.id for e in examples if e.answers]
    none = [e.id for e in examples if not e.answers]

    def mean(of, ids):
        return sum(of[i] for i in ids) / len(ids)

    return {
        "f1": mean(f1, has + none),
        "exact_match": mean(exact, has + none),
        "has_answer_f1": mean(f1, has),
        "has_answer_exact_match": mean(exact, has),
        "no_answer": mean(exact, none),
    }


def test_figures_of_squad_2_are_those_of_its_evaluation():
    rng = random.Random(5)
    words = ["the", "gold", "of", "a", "Peru!", "42"]
    examples, said = [], {}
    for i in range(300):
        answers = tuple(" ".join(rng.choices(words, k=rng.randint(1, 3))) for _ in range(rng.choice([0, 1, 2])))
        examples.append(Example(str(i), "q", "c", answers, (0,) * len(answers)))
        said[str(i)] = "" if rng.random() < 0.4 else " ".join(rng.choices(words, k=rng.randint(1, 3)))
    assert squad_scores.version_2(said, examples) == pytest.approx(official(said, examples))
    perfect = {e.id: max(e.answers, key=lambda a: len(squad_scores.normalise(a)), default="") for e in examples}
    assert set(squad_scores.version_2(perfect, examples).values()) == {1.0}


class Threshold:
    positive = None

    def __init__(self, null_threshold):
        self.null_threshold = null_threshold


@pytest.mark.parametrize(("threshold", "said"), [(None, "gold"), (0.0, ""), (0.99, ""), (1.0, "gold"), (3.0, "gold")])
def test_no_answer_is_given_where_it_scores_above_the_best_by_more_than_the_threshold(tokenizer, threshold, said):
    """The least of all windows counts: here 7, and the best answer 6."""
    example = Example("1", "what", f"{PASSAGE} {PASSAGE} is", ("gold",), (4,))
    features = qa.featurize([example], tokenizer, 12, 2)
    assert len(features) > 1
    start = np.full((len(features), features.width), -9, np.float32)
    end = start.copy()
    start[:, 0], end[:, 0] = 4, 5
    start[0, 0], end[0, 0] = 3, 4
    place = int(features.start_positions[0])
    start[0, place] = end[0, place] = 3
    measured = qa.measure({"start": start, "end": end}, features, [example], Threshold(threshold))
    assert measured["exact_match"] == float(said == "gold")


# ------------------------------------------------------------ what a tokenizer drops
@pytest.fixture(scope="module")
def stripping():
    """A tokenizer as BERT's that lowers: it drops accents that combine, and characters of no width."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("กที.")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + c for c in letters)]
    found = Tokenizer(models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return found


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("he is in malmo\u0308 now", "malmo\u0308"),  # an accent that combines
        ("he is in malm\u00f6 now", "malm\u00f6"),
        ("he is in orle\u0301\u0323 now", "orle\u0301\u0323"),
        ("he is in malmo\u0308", "malmo\u0308"),  # at the end of the passage
        ("he is in \u0e01\u0e17\u0e35 now", "\u0e01\u0e17\u0e35"),  # a vowel above its letter
        ("he is in \u200bmalmo\u200b now", "\u200bmalmo\u200b"),  # characters of no width
        ("he is in malmo\u00ad now", "malmo\u00ad"),
        ("he is in  malmo  now", " malmo "),
        ("he is in malmo\u0308 now", " malmo\u0308 "),
        ("he is in the bo\u0308bo\u0308 now", "bo\u0308bo"),  # inside a word
    ],
)
@pytest.mark.parametrize("length", [40, 18])
def test_an_answer_whose_ends_are_dropped_is_learnt_and_can_be_right(stripping, context, answer, length):
    example = Example("1", "q", context, (answer,), (context.index(answer),))
    features = qa.featurize([example], stripping, length, 5)
    assert features.lost == ()
    said = said_of(features, [example], *gold(features))
    assert squad_scores.version_1(said, [example])["f1"] == 1.0 or answer == "bo\u0308bo"


def test_answers_that_no_window_holds_are_named_and_not_learnt(stripping):
    examples = [
        Example("dropped", "q", "ab \u200b cd", ("\u200b",), (3,)),
        Example("long", "q", "abcdefghijklmnopqrstuvwxyz", ("abcdefghijklmnopqrstuvwxyz",), (0,)),
        Example("none", "q", "ab cd", (), ()),
        Example("sound", "q", "ab cd", ("cd",), (3,)),
    ]
    features = qa.featurize(examples, stripping, 14, 3)
    assert features.lost == ("dropped", "long")
    assert {examples[i].id for i in features.learnable(examples).example_index} == {"none", "sound"}
    with pytest.raises(RecipeError):
        qa.featurize(examples[:2], stripping, 14, 3).learnable(examples[:2])
