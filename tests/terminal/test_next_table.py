"""`python -m bot next`: what it takes and what it shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.answering.text_completion import check_text, params_for
from bot.dialogue.continuation import Continuation, ContinuationStep, Likely, Survivors
from bot.dialogue.sampling import SamplingParams
from bot.engine.placement.device import can_quantise
from bot.errors import InvalidSettingError, UnavailableError, WrongInputError
from bot.rendering.attention_picture import save_picture
from bot.rendering.columns import width
from bot.settings.settings import VARIABLES
from bot.terminal.arguments import build_parser
from bot.terminal.next_table import table_of, text_of
from bot.terminal.next_text import _check_length
from tests.tiny_models import make_chat_model


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, and no setting."""
    monkeypatch.chdir(tmp_path)
    for name in (*VARIABLES, "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def likely(text: str, probability: float, *, allowed: bool = True) -> Likely:
    return Likely(1, text, probability, allowed)


LEFT = Survivors(50, 7, 7)


def step(*tokens: Likely, left: Survivors = LEFT) -> ContinuationStep:
    return ContinuationStep(tokens[0], tokens, left)


CATS = Continuation(
    text="나는 cats 좋아",
    added=" cats 좋아",
    ids=(1, 2, 3, 4),
    num_text_tokens=2,
    steps=(
        step(likely(" cats", 0.5), likely("고양이", 0.25), likely("\udcea\udcb3", 0.0002)),
        step(likely(" 좋아", 1.0), likely(" cats", 0.125, allowed=False), likely("\n", 0.1)),
    ),
    ended=False,
    seed=11,
)


def test_the_columns_stand_in_line_where_letters_are_wide() -> None:
    table, _, legend = table_of(CATS, "en", 120).partition("\n\n")
    head, first, second = table.splitlines()
    assert head.split() == [
        "step",
        "drawn",
        "p",
        "top-k",
        "top-p",
        *["1.", "p", "2.", "p", "3.", "p"],
    ]
    assert first.split() == [
        *("1", "␣cats", "50.0%", "50", "7", "␣cats", "50.0%", "고양이", "25.0%"),
        *(r"\xea\xb3", "<0.1%"),
    ]
    assert second.split()[7:] == ["␣cats", "(12.5%)", r"\n", "10.0%"]
    for number in ("2.", "3."):
        ends = width(head[: head.index(number)])
        cut = [_cut_at(line, ends) for line in (first, second)]
        assert all(before.endswith("  ") and not after.startswith(" ") for before, after in cut)
    assert "In brackets" in legend
    assert "--seed 11" in legend


def _cut_at(line: str, columns: int) -> tuple[str, str]:
    place = next(i for i in range(len(line)) if width(line[:i]) == columns)
    return line[:place], line[place:]


def test_a_narrow_terminal_shows_fewer_of_the_likeliest() -> None:
    heads = [table_of(CATS, "en", columns).splitlines()[0] for columns in (120, 70, 20)]
    assert [head.count(" p") for head in heads] == [4, 3, 2]
    assert all(width(line) <= 70 for line in table_of(CATS, "en", 70).splitlines()[:3])


def test_min_p_has_a_column_where_it_cuts_and_the_end_is_told() -> None:
    cut = replace(CATS.steps[0], survivors=Survivors(50, 7, 2))
    table = table_of(replace(CATS, steps=(cut, CATS.steps[1]), ended=True), "en", 120)
    assert "top-p  min-p" in table
    assert "min-p" not in table_of(CATS, "en", 120)
    assert "The last token is the one that ends a text." in table


def test_a_long_token_is_cut() -> None:
    long = replace(CATS, steps=(step(likely("=" * 60, 0.9)),))
    assert f"{'=' * 15}…" in table_of(long, "en", 120)
    assert "=" * 16 not in table_of(long, "en", 120)


def test_a_terminal_gets_no_control_characters_and_no_half_letter() -> None:
    assert text_of(replace(CATS, text="I love\x1b]0;x\x07 cats 고\ufffd")) == "I love]0;x cats 고"


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_fifty_tokens_are_added_unless_another_number_is_wished_for(locale: str) -> None:
    parser = build_parser(locale)
    options = parser.parse_args(["next", "I love cats because"])
    assert (options.length, options.table, options.attention, options.seed) == (
        50,
        False,
        None,
        None,
    )
    assert parser.parse_args(["next", "hi", "--length", "9", "--top-k", "3"]).top_k == 3


@pytest.mark.parametrize("text", ["", "  \n", "\u200d"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(WrongInputError, match="empty"):
        check_text(text)


def test_a_text_goes_in_as_it_is() -> None:
    assert check_text(" cats ") == " cats "
    with pytest.raises(WrongInputError, match="UTF-8"):
        check_text("\udcff")


def test_pairs_are_not_repeated_and_only_what_is_wished_differs_from_the_defaults() -> None:
    defaults = SamplingParams(temperature=0.5, top_k=9)
    params = params_for(defaults, {"top_k": 0, "seed": None, "temperature": None})
    assert params == replace(defaults, top_k=0, no_repeat_ngram_size=2)
    with pytest.raises(InvalidSettingError):
        params_for(defaults, {"top_p": 1.5})


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([""], 65, "The text is empty: write how it begins."),
        (["hi", "--top-p", "9"], 65, "`top_p` must be between 0.05 and 1.0; you gave 9.0."),
        (["hi", "--attention", "no/x.png"], 69, "no/x.png is no place for a picture: name a file."),
    ],
)
def test_a_mistake_is_told_before_the_model_is_loaded(
    arguments: list[str],
    code: int,
    sentence: str,
    nowhere: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    assert list(nowhere.iterdir()) == []
    assert main(["next", *arguments]) == code
    assert capsys.readouterr() == ("", f"{sentence}\n")


def test_the_command_prints_text_and_table_and_draws(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("bot.logs.configure_logs", lambda *_, **__: None)  # for the whole process
    arguments = ["I love cats because", "--table", "--seed", "7", "--attention", "x.png"]
    assert main(["next", *arguments]) == 0
    out, err = capsys.readouterr()
    text, head, *_ = (line for line in out.splitlines() if line)
    assert text.startswith("I love cats because ")
    assert head.startswith("step  drawn")
    assert err == ""
    assert (nowhere / "x.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in nowhere.iterdir()] == ["x.png"]


def test_another_architecture_goes_on_as_well(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bot.logs.configure_logs", lambda *_, **__: None)  # for the whole process
    monkeypatch.setenv("MODEL", str(make_chat_model(nowhere / "chat")))
    assert main(["next", "hello", "--length", "3"]) == 0
    assert capsys.readouterr().out.startswith("hello")


@pytest.mark.skipif(not can_quantise(), reason="this processor does not multiply 8-bit numbers")
def test_eight_bits_are_no_hindrance(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bot.logs.configure_logs", lambda *_, **__: None)  # for the whole process
    monkeypatch.setenv("DTYPE", "int8")
    assert main(["next", "I love cats because", "--length", "3"]) == 0
    assert capsys.readouterr().out.startswith("I love cats because ")


def test_who_asks_at_the_terminal_may_say_every_word(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bot.logs.configure_logs", lambda *_, **__: None)  # for the whole process
    blocked = nowhere / "words.txt"
    blocked.write_text("cats\n")
    monkeypatch.setenv("BLOCKED_WORDS", str(blocked))
    assert main(["next", "I love cats because", "--length", "1"]) == 0
    assert capsys.readouterr().out.startswith("I love cats because")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["hi", "--layer", "5"], 65, "`layer` must be between 1 and 4; you gave 5."),
        (["hi", "--layer", "-1"], 65, "`layer` must be between 1 and 4; you gave -1."),
        (["hi " * 300], 65, "I can read 255)."),
        (["hi", "--length", "0"], 65, "--length cannot be 0."),
        (["hi", "--length", "256"], 65, "--length cannot be 256."),
    ],
)
def test_what_the_model_has_no_room_or_no_layer_for_is_one_sentence(
    arguments: list[str],
    code: int,
    sentence: str,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bot.logs.configure_logs", lambda *_, **__: None)  # for the whole process
    assert main(["next", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_a_model_that_does_not_show_what_it_looks_at_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="doesn't show what it looks at"):
        save_picture(None, tmp_path / "x.png", "en")


def test_a_text_may_fill_the_window_and_no_more() -> None:
    _check_length(56, 200, 256)
    with pytest.raises(WrongInputError, match=r"1 to 56 more .* cannot be 57"):
        _check_length(57, 200, 256)
    _check_length(1, 256, 256)  # the text itself is too long: the engine says so
