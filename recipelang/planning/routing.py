"""What a mixture's config says of its experts: how many a token goes to, and the groups that the router chooses first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipelang.planning.families import TensorFact
from recipelang.source import RecipeError, fail
from recipelang.source.words import an, plural

#: what configs call the number of experts
KEYS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
#: what can be done where this release cannot
MADE = "make the smaller model with transformers, and name its folder as `base`"


@dataclass(frozen=True)
class Routing:
    """Of every layer that has experts."""

    experts: int
    per_token: int  # experts that the router sends a token to
    groups: int = 1  # of which the router chooses some first, and experts in these
    groups_per_token: int = 1
    least_in_group: int = 1  # routers that rank groups by their two best experts need two

    @property
    def least(self) -> int:
        """The fewest experts that the router can choose from.

        >>> Routing(8, 2).least, Routing(16, 6, groups=4, groups_per_token=2, least_in_group=2).least
        (2, 12)
        """
        return self.groups * max(self.least_in_group, math.ceil(self.per_token / self.groups_per_token))


def routing_of(family: str, config: Mapping[str, Any], tensors: Sequence[TensorFact]) -> Routing:
    """E152 where the model has no experts, or none that this release can remove."""
    kind = an(f"`{family}`")
    parts = [t for t in tensors if "experts" in t.roles]
    stacks = {t.shape[0] for t in parts if "linear" in t.roles and len(t.shape) == 3 and not t.below}
    if not parts:
        raise fail("E152", f"{kind} has no experts", help="shrink another axis")
    why = ""
    if any("attention" in t.roles for t in parts):
        why = "its attention has experts too"
    elif any(t.below or ("linear" in t.roles and len(t.shape) == 2) for t in parts):
        why = "they do not lie in one stack for each matrix"
    elif len(stacks) != 1:
        why = "its layers have different numbers of them"
    elif not any(config.get(key) == next(iter(stacks)) for key in KEYS):
        why = "its config.json does not count them under a name that is known here"
    elif not config.get("experts_per_token"):
        why = "its config.json does not say how many a token goes to"
    if why:
        raise fail("E152", f"this release cannot remove experts of {kind}", help=MADE, notes=[why])
    groups = config.get("routing_groups")
    return Routing(
        stacks.pop(),
        int(config["experts_per_token"]),
        int(groups or 1),
        int(config.get("groups_per_token") or groups or 1),
        2 if groups else 1,
    )


def check_experts(routing: Routing, to: int) -> None:
    """E170 for a number of experts that the router cannot choose from."""
    groups, least = routing.groups, routing.least
    near = max(least, to - to % groups)
    if near >= routing.experts:
        help = "remove `experts` from `axes`: the model has no more than its router needs"
    else:
        help = f"write `experts -> {near}`"
    if to < least:
        notes = [f"the router sends each token to {plural(routing.per_token, 'expert')}"]
        if groups > 1:
            notes.append(f"it takes them from {routing.groups_per_token} of {groups} groups")
        raise _refused(f"{plural(to, 'expert')} of each layer would be too few", help, notes)
    if to % groups:
        notes = ["the router chooses groups first, which are of one size"]
        raise _refused(f"{to} experts cannot be shared out to {groups} groups of the router", help, notes)


def _refused(message: str, help: str, notes: list[str]) -> RecipeError:
    return fail("E170", message, help=help, notes=notes)
