"""recipelang: a small declarative language for pruning language models."""

__version__ = "0.1.0"
