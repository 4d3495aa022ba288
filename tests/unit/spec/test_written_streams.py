"""What `streaming` in a recipe means, and with what it cannot stand."""

import pytest

from recipelang.spec.canonical import behaviour_digest, spec_form
from recipelang.spec.references import streamed
from tests.reading import codes, recipe_of, sound

SOURCE = 'source = "hf://owner/data"'


def streams(more):
    return sound((SOURCE, f"{SOURCE}, {more}"))


@pytest.mark.parametrize(
    ("written", "refused"),
    [
        ("streaming = true", False),
        ("streaming = true, shuffle_buffer = 100 samples", False),
        ("streaming = true, shuffle = false, shuffle_buffer = 100", False),
        ("streaming = false, samples = 8", False),
        ("shuffle_buffer = 100", True),
        ("streaming = true, samples = 8", True),
        ("streaming = true, group_by_length = true", True),
    ],
)
def test_what_a_stream_goes_with(written, refused):
    assert codes(streams(written)) == (["E054"] if refused else [])


def test_other_recipes_keep_their_digests_and_a_stream_has_its_own():
    assert not {"streaming", "shuffle_buffer"} & set(spec_form(recipe_of(sound()), {})["data"][""])
    found = {behaviour_digest(recipe_of(t), {}) for t in (sound(), streams("streaming = true"))}
    found.add(behaviour_digest(recipe_of(streams("streaming = true, shuffle_buffer = 9")), {}))
    assert len(found) == 3


def test_a_reference_that_is_also_read_as_a_whole_is_no_stream():
    both = 'source = "hf://owner/data", streaming = true'
    own = 'train = "a.jsonl", validation = "b.jsonl", streaming = true'
    same = 'train = "a.jsonl", validation = "a.jsonl", streaming = true'
    evaluated = [streamed(recipe_of(sound((SOURCE, text)))) for text in (both, own, same)]
    assert evaluated == [set(), {"a.jsonl"}, set()]
