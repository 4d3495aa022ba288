"""Texts, positions, findings and how they are shown. Standard library only."""

from recipelang.source.diagnostic import Diagnostic as Diagnostic, Edit as Edit, Fix as Fix, Label as Label
from recipelang.source.errors import (
    Diagnostics as Diagnostics,
    RecipeError as RecipeError,
    at_label as at_label,
    fail as fail,
)
from recipelang.source.text import Source as Source, Sources as Sources, Span as Span
