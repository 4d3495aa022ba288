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
#: more templates, each in a file
FOLDERS = ("additional_chat_templates",)
#: weights have one place, and neither code nor pickles are passed on
NEVER = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".pkl", ".pickle", ".npz",
    ".npy", ".py", ".pyc", ".so", ".dll", ".exe", ".sh",
)  # fmt: skip


def belongings(folder: Path) -> list[str]:
    """Their paths in the folder, in order."""
    found = [p for name in ("", *FOLDERS) if (folder / name).is_dir() for p in (folder / name).iterdir()]
    names = ((p, p.relative_to(folder).as_posix()) for p in found)
    return sorted(name for p, name in names if belongs(name) and p.is_file())


def belongs(name: str) -> bool:
    """Whether a file at this path in a model folder is passed on with the model."""
    folder, _, last = name.lower().rpartition("/")
    if folder:
        return folder in FOLDERS and last.endswith(".jinja")
    return any(fnmatch(last, pattern) for pattern in PATTERNS) and not last.endswith(NEVER)
