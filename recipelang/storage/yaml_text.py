"""YAML as PyYAML writes it, and as readers of YAML 1.1 and 1.2 both understand it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

#: what fits on a line stands on one
WIDTH = 88

#: plain in YAML 1.1 and 1.2: a word that neither takes for a truth, a number or nothing
_PLAIN = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null|nan|inf)$)[A-Za-z_][A-Za-z0-9_]*")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """PyYAML knows the words of 1.1; of 1.2 it would leave `1e3` plain."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, None if _PLAIN.fullmatch(data) else '"')

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        return self._short(node, sequence, node.value)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        return self._short(node, mapping, [value for _, value in node.value])

    def _short(self, node: Any, form: Any, inside: list[yaml.Node]) -> Any:
        node.flow_style = all(isinstance(v, yaml.ScalarNode) for v in inside) and len(json.dumps(form)) <= WIDTH
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


def yaml_text(form: object, *, ascii: bool = False) -> str:
    """Every scalar that a reader could take for something else stands in quotes. `ascii`: no character can hide.

    >>> print(yaml_text({"on": ["logits"], "batch": "16", "clip": None, "split": "x" * 90, "rate": "1e3"}), end="")
    "on": [logits]
    batch: "16"
    clip: null
    split: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    rate: "1e3"
    """
    return yaml.dump(form, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii, width=math.inf)
