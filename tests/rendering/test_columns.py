"""Columns of a fixed-width font, where a Korean letter takes two."""

from bot.rendering.columns import aligned, width


def test_a_korean_letter_is_two_columns_wide() -> None:
    assert width("안녕 hi") == 7
    lines = aligned([("설정", "값", "x"), ("top_k", "20", "기본값")]).splitlines()
    assert lines == ["설정   값  x", "top_k  20  기본값"]


def test_a_column_begins_in_line_or_ends_in_line() -> None:
    rows = [("1", "a", "5%"), ("10", "나다", "100%")]
    assert aligned(rows).splitlines() == ["1   a     5%", "10  나다  100%"]
    assert aligned(rows, right={0, 2}).splitlines() == [" 1  a       5%", "10  나다  100%"]


def test_no_line_ends_in_blanks() -> None:
    assert aligned([("a", ""), ("b", "long")]) == "a\nb  long"


def test_no_rows_are_no_lines() -> None:
    assert aligned([]) == ""
