"""The language server as an editor meets it: a client of its own process, over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from recipelang.loading.files import bundled
from tests.cli.command import ROOT, command

TEXT = bundled("lib://squad/gmp-90").text
SECONDS = 60


class Editor:
    """One file that is open, the server that sees it, and the findings that came last."""

    def __init__(self, client: LanguageClient, uri: str) -> None:
        self.client, self.uri, self.text = client, uri, ""
        self.version = 0
        self.findings: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()
        self.messages: list[str] = []

    @property
    def document(self) -> lsp.TextDocumentIdentifier:
        return lsp.TextDocumentIdentifier(self.uri)

    async def open(self, text: str) -> list[lsp.Diagnostic]:
        self.text = text
        item = lsp.TextDocumentItem(self.uri, "recipe", self.version, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return await self.found()

    async def replace(self, old: str, new: str) -> list[lsp.Diagnostic]:
        """An incremental change, as typing makes them."""
        at = self.text.index(old)
        change = lsp.TextDocumentContentChangePartial(lsp.Range(self.place(at), self.place(at + len(old))), new)
        self.text = self.text.replace(old, new, 1)
        self.version += 1
        document = lsp.VersionedTextDocumentIdentifier(version=self.version, uri=self.uri)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))
        return await self.found()

    async def found(self) -> list[lsp.Diagnostic]:
        while True:
            params = await asyncio.wait_for(self.findings.get(), SECONDS)
            if params.uri == self.uri:
                return list(params.diagnostics)

    def place(self, offset: int) -> lsp.Position:
        line = self.text.count("\n", 0, offset)
        start = self.text.rfind("\n", 0, offset) + 1
        return lsp.Position(line, len(self.text[start:offset].encode("utf-16-le")) // 2)

    def after(self, word: str) -> lsp.Position:
        return self.place(self.text.index(word) + len(word))


def edited(path: Path, use: Callable[[Editor], Awaitable[None]]) -> None:
    """Open a server for a file, use it, and see that it ends when asked to."""

    async def session() -> None:
        client = LanguageClient("test", "1")
        editor = Editor(client, path.as_uri())
        # a bound method takes none of the names that the client gives its handlers
        client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: editor.findings.put_nowait(params))  # noqa: PLW0108
        client.feature(lsp.WINDOW_SHOW_MESSAGE)(lambda params: editor.messages.append(params.message))
        await client.start_io(sys.executable, "-m", "recipelang", "lsp", cwd=str(ROOT))
        items = lsp.ClientCompletionItemOptions(snippet_support=True)
        completes = lsp.CompletionClientCapabilities(completion_item=items)
        able = lsp.ClientCapabilities(text_document=lsp.TextDocumentClientCapabilities(completion=completes))
        await asyncio.wait_for(client.initialize_async(lsp.InitializeParams(capabilities=able)), SECONDS)
        client.initialized(lsp.InitializedParams())
        try:
            await use(editor)
        finally:
            await asyncio.wait_for(client.shutdown_async(None), SECONDS)
            client.exit(None)
            await client.stop()

    asyncio.run(session())


def test_a_mistake_is_shown_mended_and_gone(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        assert await editor.open(TEXT) == []
        (finding,) = await editor.replace("cubic(", "cubc(")
        assert (finding.code, finding.source) == ("E022", "recipelang")
        assert "did you mean `cubic`?" in finding.message
        context = lsp.CodeActionContext([finding])
        offered = await editor.client.text_document_code_action_async(
            lsp.CodeActionParams(editor.document, finding.range, context)
        )
        assert offered
        action = offered[0]
        assert isinstance(action, lsp.CodeAction)
        assert action.edit is not None
        assert action.edit.changes is not None
        (edit,) = action.edit.changes[editor.uri]
        assert (edit.range, edit.new_text) == (finding.range, "cubic")
        assert await editor.replace("cubc", edit.new_text) == []

    edited(tmp_path / "a.recipe", use)


def test_what_is_asked_while_writing(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        client, document = editor.client, editor.document
        await editor.open(TEXT)
        place = editor.after("learning_rate")
        hovered = await client.text_document_hover_async(lsp.HoverParams(document, place))
        assert hovered is not None
        assert "must cover the whole stage" in hovered.contents.value  # type: ignore[union-attr]
        offers = await client.text_document_completion_async(
            lsp.CompletionParams(document, editor.after("targets  = @"))
        )
        assert isinstance(offers, lsp.CompletionList)
        assert "@linear" in {item.label for item in offers.items}
        call = await client.text_document_signature_help_async(
            lsp.SignatureHelpParams(document, editor.after("cubic("))
        )
        assert call is not None
        assert call.signatures[0].label.startswith("cubic(a -> b")
        where = editor.after("sparsity = ")
        for ask in (client.text_document_definition_async, client.text_document_references_async):
            assert ask is not None
        symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
        assert "model" in {symbol.name for symbol in symbols or ()}
        tokens = await client.text_document_semantic_tokens_full_async(lsp.SemanticTokensParams(document))
        assert tokens is not None
        assert len(tokens.data) % 5 == 0
        assert len(tokens.data) > 500
        whole = lsp.Range(lsp.Position(0, 0), editor.place(len(TEXT)))
        assert await client.text_document_inlay_hint_async(lsp.InlayHintParams(document, whole))
        assert await client.text_document_folding_range_async(lsp.FoldingRangeParams(document))
        assert await client.text_document_selection_range_async(lsp.SelectionRangeParams(document, [where]))
        options = lsp.FormattingOptions(2, True)
        assert not await client.text_document_formatting_async(lsp.DocumentFormattingParams(document, options))
        await editor.replace("  base = base", "  base     =  base")
        (edit,) = await client.text_document_formatting_async(lsp.DocumentFormattingParams(document, options)) or ()
        assert edit.new_text == "  base = base\n"

    edited(tmp_path / "a.recipe", use)


def test_names_lead_across_files_and_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(TEXT)

    async def use(editor: Editor) -> None:
        client, document = editor.client, editor.document
        await editor.open('recipe 1 "b😀"\nextends "./base.recipe"\nset target = 97%\n')
        place = editor.after("set targ")
        there = await client.text_document_definition_async(lsp.DefinitionParams(document, place))
        assert isinstance(there, lsp.Location)
        assert there.uri == (tmp_path / "base.recipe").as_uri()
        links = await client.text_document_document_link_async(lsp.DocumentLinkParams(document))
        assert [link.target for link in links or ()] == [(tmp_path / "base.recipe").as_uri()]
        renamed = await client.text_document_rename_async(lsp.RenameParams(document, place, "goal"))
        assert renamed is not None
        assert renamed.changes is not None
        assert {uri.rpartition("/")[2] for uri in renamed.changes} == {"a.recipe", "base.recipe"}
        assert await client.text_document_rename_async(lsp.RenameParams(document, place, "length")) is None
        assert editor.messages == ["`length` is a name already"]

    edited(tmp_path / "a.recipe", use)


def test_a_study_is_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(TEXT)

    async def use(editor: Editor) -> None:
        text = 'recipe 1 "s"\nstudy { of = "./base.recipe", seeds = 2 }\nvary { targt = [80%, 90%] }\n'
        found = await editor.open(text)
        assert {d.range.start.line for d in found if d.severity == lsp.DiagnosticSeverity.Error} == {2}

    edited(tmp_path / "a.recipe", use)


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("recipelang.editor.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    monkeypatch.setitem(sys.modules, "pygls", None)
    ended = command("lsp")
    assert ended.codes == ["E144"]
    assert "pip install 'recipelang[lsp]'" in ended.err
