"""`make locales`: collects every sentence that a person sees and compiles the catalogues."""
# ruff: noqa: T201 - a program at the terminal prints

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

LOCALES = Path(__file__).parent
SOURCES = ("bot", "cogs")
# Calls whose first argument is a sentence.
KEYWORDS = (
    "say",
    "mark",
    "locale_str",
    "ModelError",
    "DatabaseError",
    "UnavailableError",
    "WrongSettingsError",
)
LANGUAGES = ("ko",)


def main() -> None:
    """Bring every catalogue up to date; what is new is left empty, what is gone is removed."""
    template = collect()
    for language in LANGUAGES:
        path = LOCALES / language / "LC_MESSAGES" / "banter.po"
        catalog = read(path, language)
        template.creation_date = catalog.creation_date  # or every run would change the file
        catalog.update(template, no_fuzzy_matching=True)
        save(catalog, path)
        missing = [message.id for message in catalog if message.id and not message.string]
        print(f"{language}: {len(catalog)} sentences, {len(missing)} without a translation")


def collect() -> Catalog:
    """Every sentence in the code."""
    catalog = Catalog(project="banter")
    root = LOCALES.parent
    for path in (path for source in SOURCES for path in sorted((root / source).rglob("*.py"))):
        for sentence in sentences_of(path):
            catalog.add(sentence)
    return catalog


def sentences_of(path: Path) -> Iterator[str]:
    """The sentences that a file says itself, and those that its error classes hold."""
    with path.open("rb") as file:
        for _, sentence, _, _ in extract("python", file, dict.fromkeys(KEYWORDS)):
            yield str(sentence)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield from filter(None, map(sentence_of_class_line, node.body))


def sentence_of_class_line(line: ast.stmt) -> str | None:
    """The text in `sentence = "…"` in the body of a class."""
    target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
    value = getattr(line, "value", None)
    if not isinstance(target, ast.Name) or target.id != "sentence":
        return None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def read(path: Path, language: str) -> Catalog:
    """The catalogue at `path`, or an empty one."""
    if not path.exists():
        return Catalog(
            locale=language,
            project="banter",
            version="1",
            header_comment="# The key of a sentence is its English form; see docs/adr/0012.",
            msgid_bugs_address="none",
            last_translator="Banter contributors",
            language_team="none",
            revision_date=datetime.now(UTC),
            fuzzy=False,
        )
    with path.open("rb") as file:
        return read_po(file, locale=language)


def save(catalog: Catalog, path: Path) -> None:
    """Write the catalogue, and beside it the compiled one that the bot reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=100, no_location=True, sort_output=True, ignore_obsolete=True)
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)


if __name__ == "__main__":
    main()
