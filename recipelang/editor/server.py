"""The language server: what an editor asks over standard input and output, answered by the functions of this room."""

from __future__ import annotations

from lsprotocol import types as lsp

from recipelang.editor import actions, colours, completion, findings, hints, hover, names, outline, signatures
from recipelang.editor.document import Document
from recipelang.editor.session import RecipeServer
from recipelang.source import RecipeError, Span
from recipelang.syntax.fmt import format

_ITEMS = {
    "block": lsp.CompletionItemKind.Class,
    "attribute": lsp.CompletionItemKind.Property,
    "keyword": lsp.CompletionItemKind.Keyword,
    "value": lsp.CompletionItemKind.EnumMember,
    "function": lsp.CompletionItemKind.Function,
    "role": lsp.CompletionItemKind.Constant,
    "unit": lsp.CompletionItemKind.Unit,
    "name": lsp.CompletionItemKind.Variable,
    "type": lsp.CompletionItemKind.TypeParameter,
    "metric": lsp.CompletionItemKind.Field,
    "file": lsp.CompletionItemKind.File,
}
_SYMBOLS = {
    "block": lsp.SymbolKind.Class,
    "attribute": lsp.SymbolKind.Property,
    "param": lsp.SymbolKind.TypeParameter,
    "let": lsp.SymbolKind.Variable,
    "claim": lsp.SymbolKind.Event,
    "reference": lsp.SymbolKind.File,
}


def _markdown(text: str) -> lsp.MarkupContent:
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)


server = RecipeServer()


# ------------------------------------------------------------------------ texts
@server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
async def did_open(ls: RecipeServer, params: lsp.DidOpenTextDocumentParams) -> None:
    ls.opened(params.text_document.uri)


@server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
async def did_change(ls: RecipeServer, params: lsp.DidChangeTextDocumentParams) -> None:
    ls.opened(params.text_document.uri)


@server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
async def did_save(ls: RecipeServer, params: lsp.DidSaveTextDocumentParams) -> None:
    ls.changed()


@server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
async def did_close(ls: RecipeServer, params: lsp.DidCloseTextDocumentParams) -> None:
    ls.closed(params.text_document.uri)


@server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
async def did_change_files(ls: RecipeServer, params: lsp.DidChangeWatchedFilesParams) -> None:
    ls.changed()


# ------------------------------------------------------------------ while writing
@server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["@", ".", "/", '"', "="]))
def complete(ls: RecipeServer, params: lsp.CompletionParams) -> lsp.CompletionList:
    document, offset = ls.at(params.text_document.uri, params.position)
    items = [_item(ls, document, i, n) for n, i in enumerate(completion.complete(document, offset))]
    return lsp.CompletionList(is_incomplete=False, items=items)


def _item(ls: RecipeServer, document: Document, item: completion.Item, number: int) -> lsp.CompletionItem:
    snippets = _takes_snippets(ls)
    text = item.text if not item.snippet or snippets else completion.without_places(item.text)
    is_snippet = item.snippet and snippets
    return lsp.CompletionItem(
        label=item.label,
        kind=_ITEMS[item.sort],
        detail=item.detail or None,
        documentation=_markdown(item.doc) if item.doc else None,
        text_edit=lsp.TextEdit(ls.range(document, item.span), text),
        insert_text_format=lsp.InsertTextFormat.Snippet if is_snippet else lsp.InsertTextFormat.PlainText,
        filter_text=item.label,
        sort_text=f"{number:05}",
    )


def _takes_snippets(ls: RecipeServer) -> bool:
    documents = ls.client_capabilities.text_document
    offered = documents.completion.completion_item if documents and documents.completion else None
    return bool(offered and offered.snippet_support)


@server.feature(lsp.TEXT_DOCUMENT_SIGNATURE_HELP, lsp.SignatureHelpOptions(trigger_characters=["(", ","]))
def signature_help(ls: RecipeServer, params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
    found = signatures.help(*ls.at(params.text_document.uri, params.position))
    if found is None:
        return None
    arguments = [lsp.ParameterInformation(text, _markdown(doc)) for text, doc in found.arguments]
    one = lsp.SignatureInformation(found.label, _markdown(found.doc), arguments, found.active)
    return lsp.SignatureHelp([one], 0, found.active)


@server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
def formatting(ls: RecipeServer, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
    return _formatted(ls, ls.document(params.text_document.uri))


@server.feature(lsp.TEXT_DOCUMENT_ON_TYPE_FORMATTING, lsp.DocumentOnTypeFormattingOptions(first_trigger_character="}"))
def on_type_formatting(ls: RecipeServer, params: lsp.DocumentOnTypeFormattingParams) -> list[lsp.TextEdit]:
    return _formatted(ls, ls.document(params.text_document.uri))


def _formatted(ls: RecipeServer, document: Document) -> list[lsp.TextEdit]:
    """Line by line, so that cursors and folds stay where they are; a text that is too large stays as it is."""
    try:
        new = format(document.text)
    except RecipeError:
        return []
    return [lsp.TextEdit(ls.range(document, span), text) for span, text in changed_lines(document.text, new)]


def changed_lines(old: str, new: str) -> list[tuple[Span, str]]:
    """The fewest runs of lines to replace."""
    from difflib import SequenceMatcher

    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    starts = [0]
    for line in before:
        starts.append(starts[-1] + len(line))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return [
        (Span(starts[a], starts[b]), "".join(after[c:d])) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"
    ]


# ------------------------------------------------------------------------- names
@server.feature(lsp.TEXT_DOCUMENT_HOVER)
def hovering(ls: RecipeServer, params: lsp.HoverParams) -> lsp.Hover | None:
    document, offset = ls.at(params.text_document.uri, params.position)
    found = hover.hover(document, offset)
    return lsp.Hover(_markdown(found.text), ls.range(document, found.span)) if found is not None else None


@server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
def definition(ls: RecipeServer, params: lsp.DefinitionParams) -> lsp.Location | None:
    document, offset = ls.at(params.text_document.uri, params.position)
    other = names.referenced(document, offset)
    if other is not None:
        return ls.location(other, Span(0, 0))
    found = names.definition(document, offset)
    return ls.location(found.document, found.span) if found is not None else None


@server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
def references(ls: RecipeServer, params: lsp.ReferenceParams) -> list[lsp.Location]:
    document, offset = ls.at(params.text_document.uri, params.position)
    found = names.definition(document, offset)
    places = names.uses(document, offset)
    if found is not None and not params.context.include_declaration:
        places = [
            (one, o) for one, o in places if o.span != found.span or one.source.name != found.document.source.name
        ]
    return [at for one, o in places if (at := ls.location(one, o.span)) is not None]


@server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
def highlight(ls: RecipeServer, params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
    document, offset = ls.at(params.text_document.uri, params.position)
    found = names.at(document, offset)
    if found is None:
        return []
    alike = [
        o for o in names.occurrences(document) if (o.kind, o.name, o.library) == (found.kind, found.name, found.library)
    ]
    return [lsp.DocumentHighlight(ls.range(document, o.span)) for o in alike]


@server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
def prepare_rename(ls: RecipeServer, params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
    document, offset = ls.at(params.text_document.uri, params.position)
    found = names.at(document, offset)
    if found is None or names.definition(document, offset) is None:
        return None
    return lsp.PrepareRenamePlaceholder(ls.range(document, found.span), found.name)


@server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
def rename(ls: RecipeServer, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
    document, offset = ls.at(params.text_document.uri, params.position)
    try:
        places = names.renamed(document, offset, params.new_name)
    except names.CannotRename as error:
        ls.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Error, error.reason))
        return None
    changes: dict[str, list[lsp.TextEdit]] = {}
    for one, span in places:
        if (uri := ls.uri_of(one)) is not None:
            changes.setdefault(uri, []).append(lsp.TextEdit(ls.range(one, span), params.new_name))
    return lsp.WorkspaceEdit(changes)


# ------------------------------------------------------------------------- shape
@server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
def symbols(ls: RecipeServer, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    document = ls.document(params.text_document.uri)
    return [_symbol(ls, document, entry) for entry in outline.outline(document)]


def _symbol(ls: RecipeServer, document: Document, entry: outline.Entry) -> lsp.DocumentSymbol:
    return lsp.DocumentSymbol(
        name=entry.label,
        detail=entry.detail or None,
        kind=_SYMBOLS[entry.sort],
        range=ls.range(document, entry.whole),
        selection_range=ls.range(document, entry.name),
        children=[_symbol(ls, document, inner) for inner in entry.inside],
    )


@server.feature(lsp.TEXT_DOCUMENT_FOLDING_RANGE)
def folding(ls: RecipeServer, params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
    document = ls.document(params.text_document.uri)
    kinds = {True: lsp.FoldingRangeKind.Comment, False: lsp.FoldingRangeKind.Region}
    return [lsp.FoldingRange(first, last, kind=kinds[comment]) for first, last, comment in outline.folds(document)]


@server.feature(lsp.TEXT_DOCUMENT_SELECTION_RANGE)
def selection(ls: RecipeServer, params: lsp.SelectionRangeParams) -> list[lsp.SelectionRange]:
    found = []
    for position in params.positions:
        document, offset = ls.at(params.text_document.uri, position)
        grown: lsp.SelectionRange | None = None
        for span in reversed(outline.around(document, offset)):
            grown = lsp.SelectionRange(ls.range(document, span), grown)
        found.append(grown or lsp.SelectionRange(lsp.Range(position, position)))
    return found


@server.feature(
    lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, lsp.SemanticTokensLegend(list(colours.SORTS), list(colours.MODIFIERS))
)
def semantic_tokens(ls: RecipeServer, params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
    document = ls.document(params.text_document.uri)
    lines = ls.lines(document)
    data: list[int] = []
    last = (0, 0)
    for piece in colours.coloured(document):
        start, end = lines.place(piece.start), lines.place(piece.end)
        flags = sum(1 << colours.MODIFIERS.index(m) for m in piece.modifiers)
        column = start.character - (last[1] if start.line == last[0] else 0)
        data += [start.line - last[0], column, end.character - start.character, colours.SORTS.index(piece.sort), flags]
        last = start
    return lsp.SemanticTokens(data)


@server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
def inlay_hints(ls: RecipeServer, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
    document, start = ls.at(params.text_document.uri, params.range.start)
    _, end = ls.at(params.text_document.uri, params.range.end)
    lines = ls.lines(document)
    return [
        lsp.InlayHint(lsp.Position(*lines.place(hint.offset)), hint.text, tooltip=hint.why, padding_left=True)
        for hint in hints.hints(document, Span(start, end))
    ]


# ----------------------------------------------------------------------- actions
@server.feature(
    lsp.TEXT_DOCUMENT_CODE_ACTION,
    lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.SourceFixAll]),
)
def code_actions(ls: RecipeServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    document, start = ls.at(params.text_document.uri, params.range.start)
    _, end = ls.at(params.text_document.uri, params.range.end)
    found = findings.findings(document)
    wanted = params.context.only
    offers = []
    if wanted is None or lsp.CodeActionKind.QuickFix in wanted:
        for action in actions.actions(document, found, Span(start, end)):
            about = [ls.diagnostic(document, action.found)]
            edit = ls.edits(document, action.edits)
            quick = lsp.CodeActionKind.QuickFix
            offers.append(lsp.CodeAction(action.title, quick, about, is_preferred=action.sure or None, edit=edit))
    if wanted is None or any(_asks_for_all(kind) for kind in wanted):
        edits = actions.all_sure(document, found)
        if edits:
            title = "apply every safe fix of recipelang"
            offers.append(lsp.CodeAction(title, lsp.CodeActionKind.SourceFixAll, edit=ls.edits(document, edits)))
    return offers


def _asks_for_all(kind: str | lsp.CodeActionKind) -> bool:
    return str(getattr(kind, "value", kind)).startswith(("source.fixAll",)) or kind == lsp.CodeActionKind.Source


@server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_LINK)
def links(ls: RecipeServer, params: lsp.DocumentLinkParams) -> list[lsp.DocumentLink]:
    document = ls.document(params.text_document.uri)
    found = []
    for span, other in names.references(document):
        uri = ls.uri_of(other)
        if uri is not None:
            found.append(lsp.DocumentLink(ls.range(document, span), uri))
    return found


def start() -> None:
    """Serve one editor over standard input and output until it leaves."""
    server.start_io()
