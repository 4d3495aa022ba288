"""Names and shapes from a config are those of transformers' own classes, for every family and task."""

import pytest

from recipelang.engine.models import only_used
from recipelang.planning.controls import spared
from recipelang.planning.families import FAMILIES, HEADS

AUTO = {
    "question_answering": "AutoModelForQuestionAnswering",
    "sequence_classification": "AutoModelForSequenceClassification",
    "multiple_choice": "AutoModelForMultipleChoice",
    "token_classification": "AutoModelForTokenClassification",
    "masked_lm": "AutoModelForMaskedLM",
    "causal_lm": "AutoModelForCausalLM",
    "sentence_similarity": "AutoModel",
}
SMALL = {
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "vocab_size": 90,
    },
    "roberta": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "vocab_size": 90,
    },
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48, "vocab_size": 90},
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "vocab_size": 90,
    },
}


@pytest.mark.parametrize("family, task", [(f, t) for f in FAMILIES for t in sorted(HEADS[f])])
@pytest.mark.parametrize(
    "more", [{}, {"tie_word_embeddings": True}, {"tie_word_embeddings": False}, {"num_labels": 5}], ids=str
)
def test_family_equals_a_meta_device_instantiation(family, task, more):
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(family, **SMALL[family], **more)
    if task == "question_answering":  # as the run does: a start and an end, whatever the folder was trained for
        config.num_labels = 2
    with torch.device("meta"):
        model = only_used(getattr(transformers, AUTO[task]).from_config(config), task)
    real = {n: tuple(p.shape) for n, p in model.named_parameters()}
    ours = {t.name: t.shape for t in FAMILIES[family](config.to_dict(), task)}
    assert ours == real


@pytest.mark.parametrize("family, task", [(f, t) for f in FAMILIES for t in sorted(HEADS[f])])
def test_weight_decay_spares_what_transformers_trainer_spares(family, task):
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(family, **SMALL[family])
    with torch.device("meta"):
        model = only_used(getattr(transformers, AUTO[task]).from_config(config), task)
    decayed = transformers.Trainer.get_decay_parameter_names(None, model)
    facts = FAMILIES[family](config.to_dict(), task)
    named = {n for n, _ in model.named_parameters()}
    assert {t.name for t in facts if not spared(t)} == named & set(decayed)
