"""Collects the sentences that people see into the catalogues, and compiles them: `make locales`.

A sentence is the first argument of `say`, `mark`, `locale_str`, an error that carries its own or
a finding of the doctor, or the class attribute `sentence` of an error. The output depends on the
sentences and on their translations only: no dates, no line numbers, sorted.
"""

import ast
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from bot.texts import FALLBACK_LANGUAGE, LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bot", "cogs")
SPEAKERS = frozenset(
    {"say", "mark", "locale_str"}
    | {"ok", "warn", "fault"}
    | {
        "RefusedError",
        "AdmissionError",
        "WrongInputError",
        "StartError",
        "WrongSettingsError",
        "UnavailableError",
        "ModelError",
        "DatabaseError",
    }
)
ATTRIBUTE = "sentence"


class PlainCatalog(Catalog):
    """A catalogue whose header holds what gettext needs and nothing that changes by itself."""

    # Babel's own header holds the time and Babel's version
    mime_headers = property(
        lambda self: [
            ("Language", str(self.locale)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]
    )


def collect(packages: Iterable[Path]) -> list[str]:
    """Every sentence in the Python files of `packages`, sorted, each once.

    Raises ValueError for one that is put together while the bot runs: no catalogue has it.
    """
    found: set[str] = set()
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            for expression in _spoken(ast.parse(path.read_text(encoding="utf-8"))):
                try:
                    found.update(_literals(expression))
                except ValueError as error:
                    raise ValueError(f"{path}:{expression.lineno}: {error}") from None
    return sorted(found)


def read_translations(po: Path) -> dict[str, str]:
    """Sentence -> translation, blank where it is missing or only guessed (fuzzy)."""
    if not po.exists():
        return {}
    with po.open("rb") as file:
        catalog = read_po(file, abort_invalid=True)
    return {str(m.id): "" if m.fuzzy else str(m.string) for m in catalog if m.id}


def merge(language: str, sentences: Iterable[str], known: Mapping[str, str]) -> PlainCatalog:
    """The catalogue of `language` for exactly these sentences; English translates itself."""
    catalog = PlainCatalog(locale=language, header_comment="", fuzzy=False)
    for sentence in sentences:
        is_english = language == FALLBACK_LANGUAGE
        catalog.add(sentence, sentence if is_english else known.get(sentence, ""))
    return catalog


def compiled(catalog: Catalog) -> bytes:
    """The .mo file of a catalogue."""
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def written(catalog: Catalog) -> bytes:
    """The .po file of a catalogue."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, sort_output=True)
    return buffer.getvalue().lstrip(b"\n")


def po_path(language: str) -> Path:
    """Where the catalogue of a language lies; the compiled one lies beside it, as .mo."""
    return ROOT / "locales" / language / "LC_MESSAGES" / "banter.po"


def main() -> int:
    """Bring every catalogue up to date; 1 while a translation is missing."""
    sentences = collect(ROOT / package for package in PACKAGES)
    num_missing = 0
    for language in LANGUAGES:
        path = po_path(language)
        known = read_translations(path)
        catalog = merge(language, sentences, known)
        path.write_bytes(written(catalog))
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        missing = [str(m.id) for m in catalog if m.id and not m.string]
        num_missing += len(missing)
        gone = [f"{sentence!r}: {known[sentence]!r}" for sentence in set(known) - set(sentences)]
        _tell(f"{language} no longer needs", gone)
        _tell(f"{language} lacks", missing)
    return 1 if num_missing else 0


def _spoken(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]):
                if name in SPEAKERS:
                    yield first
            case ast.ClassDef(body=body):
                yield from filter(None, map(_attribute, body))


def _attribute(line: ast.stmt) -> ast.expr | None:
    match line:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == ATTRIBUTE:
            return value
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if name == ATTRIBUTE:
            return value
    return None


def _literals(expression: ast.expr) -> Iterator[str]:
    """The sentences that `expression` can be; none where it names one that is marked elsewhere."""
    match expression:
        case ast.Constant(value=str(sentence)):
            yield sentence
        case ast.IfExp(body=body, orelse=orelse):
            yield from _literals(body)
            yield from _literals(orelse)
        case ast.JoinedStr() | ast.BinOp():
            raise ValueError("this sentence is put together: give it {places} and values instead")


def _tell(heading: str, sentences: Iterable[str]) -> None:
    for sentence in sorted(sentences):
        sys.stderr.write(f"{heading}: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
