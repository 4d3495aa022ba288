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
    found = [p for p in folder.iterdir() if any(fnmatch(p.name.lower(), pattern) for pattern in PATTERNS)]
    for name in FOLDERS:
        if (folder / name).is_dir():
            found += (folder / name).glob("*.jinja")
    kept = (p for p in found if p.is_file() and p.suffix.lower() not in NEVER)
    return sorted(p.relative_to(folder).as_posix() for p in kept)
