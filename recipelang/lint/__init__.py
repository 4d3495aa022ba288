"""Advice on recipes: what is allowed, and known to cost accuracy or trust. One rule a file, in `rules/`."""

from recipelang.lint.check import advise as advise, judge as judge, read_plan as read_plan
from recipelang.lint.every_rule import RULES as RULES, Level as Level, Rule as Rule
from recipelang.lint.levels import choose as choose, levels_for as levels_for
