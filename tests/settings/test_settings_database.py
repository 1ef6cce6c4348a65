"""DATABASE_URL: what is understood, what is refused in a sentence, and its password."""

import pytest
from sqlalchemy import make_url

from tests.settings.test_settings import complaint, load


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("sqlite:///a.db", "sqlite+aiosqlite:///a.db"),
        ("sqlite:////var/a.db", "sqlite+aiosqlite:////var/a.db"),
        ("sqlite+aiosqlite:///a.db", "sqlite+aiosqlite:///a.db"),
        ("postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        ("postgresql+asyncpg://h/n", "postgresql+asyncpg://h/n"),
        ("postgresql://u:p@[::1]:5432/n", "postgresql+asyncpg://u:p@[::1]:5432/n"),
        ("postgresql://u:p@/n?host=/run", "postgresql+asyncpg://u:p@/n?host=/run"),
        ("postgres://u:p@h/n?sslmode=require", "postgresql+asyncpg://u:p@h/n?ssl=require"),
    ],
)
def test_a_database_gets_the_driver_that_the_store_needs(written: str, understood: str) -> None:
    assert load(DATABASE_URL=written).database_url == understood


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter22@h/n",
        "u:hunter22@h/n",
        "sqlite://hunter22.db",
        "sqlite:///:memory:",
        "sqlite:///",
        "postgresql://",
        "postgresql+psycopg2://u:hunter22@h/n",
        "postgresql://u:hunter22@h:abc/n",
        "postgresql://u:hunter22@h:/n",
        "postgresql://u:hunter22@h:65536/n",
        "postgresql://u:hunter22@[::1/n",
        "postgresql://u:hunter@22@h/n",
        "postgresql://u:hunter22@h/n?colour=blue",
    ],
)
def test_another_database_is_refused_without_its_password(url: str) -> None:
    sentence = complaint(DATABASE_URL=url)
    assert "sqlite+aiosqlite:///path/to/file.db" in sentence
    assert "hunter22" not in sentence


@pytest.mark.parametrize(
    ("password", "meant"), [("p[w", "p[w"), ("p]w", "p]w"), ("a/b?c", "a/b?c"), ("%5B", "[")]
)
def test_a_password_with_brackets_is_known_and_not_logged(password: str, meant: str) -> None:
    settings = load(DATABASE_URL=f"postgres://u:{password}@h:5432/n")
    assert set(settings.secrets) == {password, meant}
    assert make_url(settings.database_url).password == meant


def test_a_file_has_no_password() -> None:
    assert load(DATABASE_URL="sqlite:////var/u:p@h/a.db").secrets == ()
