"""One-shot recipes that llm-compressor can be told, and what they are when they come back."""


def _stage(name: str, *parts: str) -> str:
    return f"stage {name} {{ mode = one_shot\n prune weights {{\n" + "\n".join(parts) + "\n} }\n"


_BODY = "targets = @linear & @decoder"
ONE_SHOT = {
    "plain": _stage("sparse", _BODY, "method = wanda", "sparsity = 60%"),
    "pattern": _stage("sparse", _BODY, "method = sparsegpt(block = 64, damp = 0.1)", "pattern = 1:4", "sparsity = 75%"),
    "parts": _stage("sparse", "targets = @attention & @decoder", "method = wanda", "pattern = 2:4", "sparsity = 50%"),
    "head": _stage("sparse", "targets = (@linear & @decoder) except @down", "method = sparsegpt", "sparsity = 50%"),
    "two": _stage("first", _BODY, "method = sparsegpt", "sparsity = 50%")
    + _stage("second", "targets = @ffn & @decoder", "method = sparsegpt", "sparsity = 70%"),
    "mixed": _stage("first", _BODY, "method = wanda", "sparsity = 30%")
    + _stage("second", "targets = @ffn & @decoder", "method = sparsegpt", "sparsity = 70%"),
}
#: a model of full size, its task, and targets that are all linear layers but the head
PRUNES_ALL_BUT = {
    "tied": ("llama-1b", "causal_lm", "@linear & @decoder"),
    "answers": ("bert-base", "question_answering", "@linear & @encoder"),
    "masked": ("bert-base", "masked_lm", "@linear & @encoder"),
    "parts": ("bert-base", "question_answering", "@ffn & @encoder"),
}
PARTS = {
    "plain": ["stage sparse {", "targets = @linear & @decoder", "method = wanda(scope = row) sparsity = 60%"],
    "pattern": ["method = sparsegpt(block = 64, damp = 0.1) pattern = 1:4 sparsity = 75%"],
    "parts": ["targets = @attention method = wanda(scope = row) pattern = 2:4 sparsity = 50%"],
    "head": ["targets = @attention | @gate | @up method = sparsegpt(block = 128, damp = 0.01) sparsity = 50%"],
    "two": ["stage first {", "stage second {", "targets = @ffn method = sparsegpt"],
    "mixed": ["stage first {", "stage second {", "targets = @ffn method = sparsegpt(block = 128, damp = 0.01)"],
}
