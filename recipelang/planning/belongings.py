"""What belongs to a model beside its weights and its config: all of it reaches the output as it is."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

#: tokenizers and their templates, what generates and what prepares inputs, and the terms of use
PATTERNS = (
    "tokenizer*", "*.model", "*.tiktoken", "*.spm", "*.bpe", "*.codes", "*.jinja", "vocab*", "merges*",
    "special_tokens_map.json", "added_tokens.json", "normalizer.json", "chat_template*", "generation_config.json",
    "*processor_config.json", "*extractor_config.json", "license*", "licence*", "notice*", "copying*", "use_policy*",
    "acceptable_use_policy*",
)  # fmt: skip
#: folder -> what of it is passed on: more templates, each in a file
FOLDERS = {"additional_chat_templates": "*.jinja"}
#: how sentence-transformers makes embeddings of a model: another task has none
OF_SENTENCES = ("modules.json", "sentence_*_config.json", "config_sentence_transformers.json")
FOLDERS_OF_SENTENCES = {"1_pooling": "config.json"}
#: weights have one place, and neither code nor pickles are passed on
NEVER = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".pkl", ".pickle", ".npz",
    ".npy", ".py", ".pyc", ".so", ".dll", ".exe", ".sh",
)  # fmt: skip
_SENTENCES = "sentence_similarity"


def belongings(folder: Path, task: str) -> list[str]:
    """Their paths in the folder of a model for this task, in order."""
    below = [p for p in folder.iterdir() if p.name.lower() in (*FOLDERS, *FOLDERS_OF_SENTENCES) and p.is_dir()]
    found = [p for place in (folder, *below) for p in place.iterdir()]
    names = ((p, p.relative_to(folder).as_posix()) for p in found)
    return sorted(name for p, name in names if belongs(name, task) and p.is_file())


def belongs(name: str, task: str = _SENTENCES) -> bool:
    """Whether a file at this path in a model folder is passed on with the model; without a task, with that of any."""
    folder, _, last = name.lower().rpartition("/")
    own = task == _SENTENCES
    patterns, folders = [*PATTERNS, *(OF_SENTENCES if own else ())], FOLDERS | (FOLDERS_OF_SENTENCES if own else {})
    if folder:
        return folder in folders and fnmatch(last, folders[folder])
    return any(fnmatch(last, pattern) for pattern in patterns) and not last.endswith(NEVER)
