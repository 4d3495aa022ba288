"""The door for Python: `recipelang.check`, `plan`, `run`, and what they give. The commands stand on it."""
