"""Settings: what is set, what is refused, and how that is said."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.sampling import BOUNDS, SamplingParams
from bot.errors import EXIT_WRONG_SETTINGS, SeveralWrongSettingsError, WrongSettingsError
from bot.settings.env_file import exposed_to_others
from bot.settings.settings import EMBEDDED_MODEL, VARIABLES, Settings, load_settings
from tests.discord_server.platform import token_of

EXAMPLE = Path(__file__).parent.parent.parent / ".env.example"
TOKEN = token_of(123456789012345678)
NO_FILE = Path("/nonexistent/.env")
OF_THE_MODEL = {"CONTEXT_TOKENS", "CONTEXT_TURNS", *map(str.upper, BOUNDS)}


def load(**variables: str) -> Settings:
    return load_settings(variables, NO_FILE)


def complaint(**variables: str) -> str:
    with pytest.raises(WrongSettingsError) as caught:
        load(**variables)
    assert caught.value.exit_code == EXIT_WRONG_SETTINGS
    return str(caught.value)


def write(folder: Path, text: str | bytes) -> Path:
    env_file = folder / ".env"
    env_file.write_bytes(text.encode() if isinstance(text, str) else text)
    return env_file


def test_nothing_needs_to_be_set() -> None:
    settings = load()
    assert settings.model == "microsoft/DialoGPT-medium"
    assert settings.discord_token is None
    assert settings.allowed_channel_ids == frozenset()


def test_an_empty_value_means_not_set() -> None:
    assert load(**dict.fromkeys(VARIABLES, "  ")) == load()


def test_default_sampling_is_that_of_the_dialogue() -> None:
    assert load().sampling == SamplingParams()


def test_sampling_defaults_can_be_set_by_name() -> None:
    assert load(TEMPERATURE="0.5", SEED="7").sampling == SamplingParams(temperature=0.5, seed=7)


@pytest.mark.parametrize("name", BOUNDS)
def test_sampling_bounds_are_those_of_the_dialogue(name: str) -> None:
    bound = BOUNDS[name]
    assert getattr(load(**{name.upper(): str(bound.high)}).sampling, name) == bound.high
    assert getattr(load(**{name.upper(): str(bound.low)}).sampling, name) == bound.low
    kind = "number" if bound.kind is float else "whole number"
    wrong = complaint(**{name.upper(): str(bound.high + 1)})
    assert wrong == (
        f"{name.upper()} must be a {kind} from {bound.low} to {bound.high}, not “{bound.high + 1}”."
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env_file = write(tmp_path, "TOP_K=10\nTOP_P=0.5\n")
    settings = load_settings({"TOP_K": "20"}, env_file)
    assert (settings.top_k, settings.top_p) == (20, 0.5)


def test_an_empty_variable_does_not_hide_the_file(tmp_path: Path) -> None:
    assert load_settings({"TOP_K": ""}, write(tmp_path, "TOP_K=10")).top_k == 10


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    env_file = write(tmp_path, b"\xef\xbb\xbfTOP_K=10\r\nMODEL=a/b # mine\r\n")
    settings = load_settings({}, env_file)
    assert (settings.top_k, settings.model) == (10, "a/b")


def test_a_dollar_has_no_meaning_in_the_file(tmp_path: Path) -> None:
    settings = load_settings({}, write(tmp_path, "HISTORY_KEY=a${HOME}b$c"))
    assert settings.history_key is not None
    assert settings.history_key.get_secret_value() == "a${HOME}b$c"


@pytest.mark.parametrize("text", ["1,2,3", "1, 2, 3", "1 2 3", " 1,,2\t3, "])
def test_ids_are_separated_by_commas_or_blanks(text: str) -> None:
    assert load(ALLOWED_CHANNEL_IDS=text).allowed_channel_ids == {1, 2, 3}


@pytest.mark.parametrize("word", ["on", "On", "true", "yes", "1"])
def test_switches_are_switched_on_by_the_usual_words(word: str) -> None:
    assert load(MESSAGE_CONTENT=word).message_content is True


def test_quotes_around_a_value_are_no_part_of_it() -> None:
    token = load(DISCORD_TOKEN=f"'{TOKEN}'").discord_token
    assert token is not None
    assert token.get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HISTORY", "chanel", "HISTORY must be one of channel, member, not “chanel”."),
        ("ALLOW_DMS", "maybe", "ALLOW_DMS must be on or off, not “maybe”."),
        ("TOP_K", "5.5", "TOP_K must be a whole number from 0 to 200, not “5.5”."),
        ("TEMPERATURE", "nan", "TEMPERATURE must be a number from 0.1 to 2.0, not “nan”."),
        (
            "DEV_GUILD_ID",
            "Home",
            "DEV_GUILD_ID must be one Discord id, a whole number, not “Home”.",
        ),
        (
            "ALLOWED_ROLE_IDS",
            "1,@me",
            "ALLOWED_ROLE_IDS must be Discord ids, whole numbers separated by commas, not “1,@me”.",
        ),
        (
            "PRIVACY_URL",
            "example.org",
            "PRIVACY_URL must be a web address that begins with https://, not “example.org”.",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_name_value_and_what_is_allowed(
    variable: str, value: str, sentence: str
) -> None:
    assert complaint(**{variable: value}) == sentence


def test_a_long_wrong_value_is_shortened() -> None:
    assert len(complaint(TOP_K="9" * 5000)) < 200


def test_every_mistake_of_a_start_is_told_at_once(tmp_path: Path) -> None:
    env_file = write(tmp_path, "TOP_K=x\nTEMPRATURE=1\n")
    with pytest.raises(SeveralWrongSettingsError) as caught:
        load_settings({"HISTORY": "y"}, env_file)
    assert [str(mistake).split()[0] for mistake in caught.value.mistakes] == [
        str(env_file),
        "HISTORY",
        "TOP_K",
    ]
    assert str(caught.value).count("\n") == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [("TEMPRATURE", "TEMPERATURE"), ("top_k", "TOP_K"), ("DATABASE_URI", "DATABASE_URL")],
)
def test_a_misspelt_variable_of_the_file_is_refused(
    tmp_path: Path, written: str, meant: str
) -> None:
    env_file = write(tmp_path, f"{written}=1")
    with pytest.raises(WrongSettingsError) as caught:
        load_settings({}, env_file)
    assert str(caught.value) == (
        f"{env_file} sets {written}, which is not a setting: did you mean {meant}?"
    )


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    env_file = write(tmp_path, "HF_HOME=/x\nPOSTGRES_PASSWORD=x\nTZ=UTC\nexport PATH=/bin\n")
    assert load_settings({"TEMPRATURE": "1"}, env_file) == load()


def test_a_setting_of_an_earlier_version_is_no_mistake(tmp_path: Path) -> None:
    env_file = write(tmp_path, "OWNER_IDS=1, 2\nALLOW_DMS=off\n")
    assert load_settings({"OWNER_IDS": "1, 2"}, env_file) == load(ALLOW_DMS="off")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"MODEL=caf\xe9", "is not UTF-8 text"),
        (b"MODEL=a\nDISCORD_TOKEN\n", "Line 2 of"),
        (b"MODEL='a\n", "Line 1 of"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    with pytest.raises(WrongSettingsError, match=reason):
        load_settings({}, write(tmp_path, text))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(WrongSettingsError, match="cannot be read: Is a directory"):
        load_settings({}, tmp_path / ".env")


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_noticed(
    tmp_path: Path, mode: int, *, exposed: bool
) -> None:
    env_file = write(tmp_path, "")
    env_file.chmod(mode)
    assert exposed_to_others(env_file) is exposed


def test_a_file_that_is_not_there_is_not_exposed() -> None:
    assert not exposed_to_others(NO_FILE)


@given(st.sampled_from(VARIABLES), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_value_is_taken_or_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    try:
        load(**{name: value})
    except WrongSettingsError as error:
        assert str(error).startswith(name)  # noqa: PT017 - most values are fine


@given(st.text(alphabet="abcdefghij :/@", min_size=8))
def test_a_secret_is_in_no_sentence_and_in_no_printed_settings(text: str) -> None:
    secret = f"canary{text}"
    for name in ("DISCORD_TOKEN", "HISTORY_KEY"):
        try:
            shown = repr(load(**{name: secret}))
        except WrongSettingsError as error:
            shown = f"{error!s} {error!r} {error.values} {error.__context__}"
        assert "canary" not in shown


def test_what_must_not_be_logged_is_known() -> None:
    settings = load(
        DISCORD_TOKEN=TOKEN, HISTORY_KEY="the-key", DATABASE_URL="postgres://u:p%40ss@h/n"
    )
    assert set(settings.secrets) == {TOKEN, "the-key", "p%40ss", "p@ss"}


def test_the_example_names_every_setting_with_its_default() -> None:
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    assert sorted(example) == sorted(VARIABLES)
    assert load_settings({}, EXAMPLE) == load()
    hidden = {name for name, value in example.items() if not value}
    unset = {name.upper() for name, value in load() if value is None or value == frozenset()}
    # their defaults depend on where the bot talks, and on the model
    assert hidden == unset | {"MODEL", *OF_THE_MODEL}


def test_the_model_is_another_one_where_nobody_chose_it(tmp_path: Path) -> None:
    env_file = write(tmp_path, "MODEL=\n")
    assert load_settings({}, env_file, default_model="embedded").model == "embedded"
    assert load_settings({"MODEL": "a/b"}, env_file, default_model="embedded").model == "a/b"


def test_the_example_explains_every_setting_in_one_line() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert re.fullmatch(r"# [A-Z0-9a-z].*\.", above), line


def test_a_copy_of_the_example_leaves_the_embedded_model_what_it_needs() -> None:
    copied = load_settings({}, EXAMPLE, default_model=EMBEDDED_MODEL)
    untouched = load_settings({}, NO_FILE, default_model=EMBEDDED_MODEL)
    assert copied.sampling == untouched.sampling != load().sampling


def test_the_embedded_model_may_say_a_name_twice() -> None:
    assert Settings(model=EMBEDDED_MODEL).sampling.no_repeat_ngram_size == 6
    assert Settings(model=EMBEDDED_MODEL, no_repeat_ngram_size=3).sampling.no_repeat_ngram_size == 3
    assert Settings().sampling.no_repeat_ngram_size == 3


def test_the_embedded_model_may_say_in_a_later_turn_whom_it_greeted() -> None:
    assert Settings(model=EMBEDDED_MODEL).sampling.no_repeat_own_ngram_size == 10
    chosen = Settings(model=EMBEDDED_MODEL, no_repeat_own_ngram_size=5)
    assert chosen.sampling.no_repeat_own_ngram_size == 5
    assert Settings().sampling.no_repeat_own_ngram_size == 4
