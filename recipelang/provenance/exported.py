"""What a run says of the formats it exported its model to, held against its plan and its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipelang.kinds.formats import FORMATS, others
from recipelang.planning.types import Plan
from recipelang.source import fail

_CHANGED = "the recipe or the statement was changed after the run"


def written(folder: Path, record: Mapping[str, Any], files: Mapping[str, str], plan: Plan) -> list[str]:
    """The formats whose files are there. E138 where record, plan and files tell of different ones."""
    told, planned = record.get("exports", {}), others(plan.export)
    if sorted(told) != sorted(planned):
        raise fail("E138", "`run.json` and the plan differ in exported formats", help=_CHANGED)
    done = [name for name in planned if not told[name].get("error")]
    for name, each in FORMATS.items():
        own = [n for n in files if n in each.files]
        if bool(own) != (name in done) or (own and each.file not in own):
            what = "lists files of" if own else "lists no files of"
            raise fail("E138", f"the statement {what} the format `{name}`, unlike `run.json`", help=_CHANGED)
        size = sum((folder / n).stat().st_size for n in own)
        if own and told[name].get("bytes") != size:
            raise fail("E138", f"the files of the format `{name}` do not have the recorded size", help=_CHANGED)
    return done
