"""One editor's session: the texts that are open, what is known of each, and their places as the protocol has them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from recipelang.editor import findings, names
from recipelang.editor.document import Document
from recipelang.editor.lines import Lines, Unit
from recipelang.source import Span
from recipelang.source.codes import title
from recipelang.source.diagnostic import LIMIT, Diagnostic
from recipelang.source.per_file import in_file
from recipelang.version import __version__

#: seconds that typing may pause before findings are looked for
PAUSE = 0.15

_SEVERITY = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "info": lsp.DiagnosticSeverity.Information,
}
_UNITS: dict[str | None, Unit] = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}


class RecipeServer(LanguageServer):
    """Holds the texts that are open, and one `Document` for each as it stands."""

    def __init__(self) -> None:
        super().__init__("recipelang", __version__)
        self.texts: dict[str, str] = {}
        self.uris: dict[str, str] = {}
        self._documents: dict[str, Document] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    # -------------------------------------------------------------- documents
    def opened(self, uri: str) -> None:
        """A text was opened or changed: whatever builds on it is read again too."""
        path = path_of(uri)
        self.texts[os.path.abspath(path)] = self.workspace.get_text_document(uri).source
        self.uris[os.path.abspath(path)] = uri
        self.changed()

    def changed(self) -> None:
        """A text or a file is another: nothing that was read counts any more."""
        self._documents.clear()
        for uri in self.uris.values():
            if (task := self._waiting.get(uri)) is not None:
                task.cancel()
            self._waiting[uri] = asyncio.ensure_future(self._publish(uri))

    def closed(self, uri: str) -> None:
        path = os.path.abspath(path_of(uri))
        self.texts.pop(path, None)
        self.uris.pop(path, None)
        if (task := self._waiting.pop(uri, None)) is not None:
            task.cancel()
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))
        self.changed()

    def document(self, uri: str) -> Document:
        if uri not in self._documents:
            path = path_of(uri)
            text = self.texts.get(os.path.abspath(path))
            if text is None:
                text = self.workspace.get_text_document(uri).source
            self._documents[uri] = Document(path, text, dict(self.texts))
        return self._documents[uri]

    def lines(self, document: Document) -> Lines:
        encoding = self.workspace.position_encoding
        return Lines(document.text, _UNITS.get(getattr(encoding, "value", None), "utf-16"))

    def at(self, uri: str, position: lsp.Position) -> tuple[Document, int]:
        document = self.document(uri)
        return document, self.lines(document).offset(position.line, position.character)

    def uri_of(self, document: Document) -> str | None:
        """None of a recipe that is no file, as one of the registry."""
        name = document.source.name
        if name.startswith("lib://"):
            from recipelang.loading.files import library

            return from_fs_path(str(library() / f"{name.removeprefix('lib://')}.recipe"))
        if "://" in name:
            return None
        path = os.path.abspath(name)
        return self.uris.get(path) or from_fs_path(path)

    # --------------------------------------------------------------- findings
    async def _publish(self, uri: str) -> None:
        await asyncio.sleep(PAUSE)
        document = self.document(uri)
        found = await asyncio.to_thread(findings.findings, document)
        shown = [self.diagnostic(document, one) for one in found[:LIMIT]]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, shown))

    def diagnostic(self, document: Document, found: findings.Found) -> lsp.Diagnostic:
        d = found.diagnostic
        return lsp.Diagnostic(
            range=self.range(document, found.span),
            message=_message(found),
            severity=_SEVERITY[d.severity],
            code=d.code,
            source="recipelang",
            related_information=self._related(d) or None,
        )

    def _related(self, d: Diagnostic) -> list[lsp.DiagnosticRelatedInformation]:
        related = []
        for label in (d.primary, *d.secondary):
            if label is None or not in_file(label) or "://" in label.source.name or label.source.name.startswith("<"):
                continue
            if label is d.primary and not label.text:
                continue
            document = Document(label.source.name, label.source.text)
            at = self.location(document, label.source.own(label.span))
            if at is not None:
                related.append(lsp.DiagnosticRelatedInformation(at, label.text or title(d.code)))
        return related

    # ----------------------------------------------------------------- places
    def range(self, document: Document, span: Span) -> lsp.Range:
        lines = self.lines(document)
        return lsp.Range(lsp.Position(*lines.place(span.start)), lsp.Position(*lines.place(span.end)))

    def location(self, document: Document, span: Span) -> lsp.Location | None:
        uri = self.uri_of(document)
        return lsp.Location(uri, self.range(document, span)) if uri is not None else None

    def edits(self, document: Document, edits: dict[str, list[tuple[Span, str]]]) -> lsp.WorkspaceEdit:
        """Edits of files by their paths; places count in the texts as they stand."""
        changes: dict[str, list[lsp.TextEdit]] = {}
        for path, places in edits.items():
            is_own = path == document.source.name
            text = document.text if is_own else self.texts.get(os.path.abspath(path))
            text = names.text_of(Path(path)) if text is None else text
            if text is None:
                continue  # it is gone since it was read
            one = Document(path, text)
            uri = self.uri_of(one)
            if uri is not None:
                changes[uri] = [lsp.TextEdit(self.range(one, span), new) for span, new in places]
        return lsp.WorkspaceEdit(changes)


def path_of(uri: str) -> str:
    """The path of a document; a text that was never saved has only a name."""
    return to_fs_path(uri) or uri.rpartition("/")[2] or "untitled.recipe"


def _message(found: findings.Found) -> str:
    d = found.diagnostic
    where = f" (in {d.primary.source.name})" if found.elsewhere and d.primary is not None else ""
    label = d.primary.text if d.primary is not None and not found.elsewhere else ""
    notes = [f"note: {note}" for note in d.notes]
    helps = [f"help: {text}" for text in d.help]
    return "\n".join(filter(None, (d.message + where, label, *notes, *helps)))
