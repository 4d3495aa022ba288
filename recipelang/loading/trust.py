"""What a recipe from elsewhere may not do by itself: name paths of this machine."""

from __future__ import annotations

import os
from collections.abc import Container

from recipelang.loading.files import is_elsewhere
from recipelang.loading.read import Around
from recipelang.source import Diagnostic, RecipeError
from recipelang.spec.recipe import Checked
from recipelang.spec.references import references


def only_what_the_user_names(checked: Checked, around: Around, known: Container[str] = ()) -> None:
    """E131 for a model or data set named by a path that only a recipe from elsewhere speaks of.

    What is `known` by its contents is not looked at on this machine.
    """
    from recipelang.planning.references import is_local

    recipe, files = checked.recipe, checked.files
    if recipe is None or not any(is_elsewhere(f.name) for f in files):
        return
    own = [f.text for f in (*files, *around.overlays) if not is_elsewhere(f.name)]
    given = {g.text.strip().strip('"') for g in around.given.values() if g.text}
    given |= {os.path.abspath(os.path.expanduser(g)) for g in given}
    for path, reference in references(recipe):
        at = recipe.label(path)
        if not is_local(reference) or reference in known or (at is not None and not is_elsewhere(at.source.name)):
            continue
        if reference in given or any(f'"{reference}"' in text for text in own):
            continue
        by = at.source.name if at is not None else files[0].name
        pull = f"`recipelang pull {by.partition('#')[0]} -o DIR` and put it beside"
        patch = "" if is_elsewhere(files[0].name) else "name it in your own recipe with `patch`, or "
        help = f"{patch}give it with `-p` where there is a parameter, or {pull}"
        raise RecipeError(Diagnostic("E131", f"`{reference[:120]}` is a path that you did not name", at, help=(help,)))
