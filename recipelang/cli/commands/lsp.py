"""`recipelang lsp`: the language server for editors."""

from __future__ import annotations

from recipelang.source import fail


def lsp() -> None:
    """Serve an editor over standard input and output by the Language Server Protocol.

    An editor starts this command itself: see `docs/editors.md` for Neovim, Helix and Emacs.
    It shows the findings of `validate` and `lint` while you type, completes, explains, renames and formats.

    Examples:

      recipelang lsp (as an editor starts it)

    Needs `pip install 'recipelang[lsp]'`.
    """
    try:
        from recipelang.editor.server import start
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        help = "`pip install 'recipelang[lsp]'`"
        raise fail("E144", "the language server needs the package `pygls`", help=help) from None
    start()
