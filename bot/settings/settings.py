"""Settings: every variable, its default and its check.

A variable comes from the environment or from `.env`; the environment wins, and an empty value
means "not set". Every mistake is one sentence that names the variable, the value (never a
secret) and what is allowed.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from bot.dialogue.sampling import BOUNDS, SamplingParams
from bot.errors import SeveralWrongSettingsError, WrongSettingsError
from bot.settings.bot_token import is_bot_token
from bot.settings.env_file import ENV_FILE, misspelt, read_variables
from bot.settings.mistakes import mistake_of

DATA_FOLDER = Path("data")  # in the folder that the bot is started in, like .env
MODELS_FOLDER = DATA_FOLDER / "models"
MAX_ID = 2**63 - 1  # Discord's ids fit a signed 64-bit column
DISCORD_MODEL = "microsoft/DialoGPT-medium"
EMBEDDED_MODEL = "embedded"  # the demonstration voice of the playground and the terminal
# Its vocabulary of 2,048 cuts words small: a name is three tokens, and comes twice in a reply. An
# own size of 4 would forbid the name it greeted with (asked for it, 42 % were answered right; 85 %
# with 6, 88 % with 8, with 10 and without the ban) and cut Korean letters in two. 10 costs nothing.
EMBEDDED_SAMPLING = {"no_repeat_ngram_size": 6, "no_repeat_own_ngram_size": 10}
# It was trained on longer dialogues than DialoGPT. Asked for a name that it was told four exchanges
# before, it is right 76 times of 80 with 14 turns and never with 8; from 20 on it talks nonsense.
EMBEDDED_TURNS = 14
# Those were short turns, and it never learned the places behind them. On 40 lines of people, 240
# replies for each length of prompt: after up to 100 tokens a word of a reply's is an invented one
# in 7 % of English replies and 17 % of Korean ones, up to 130 in 11 and 22 %, up to 150 in 11 and
# 31 %, up to 170 in 18 and 46 %. A token of an English reply has, after the last three turns alone,
# a mean log-probability of -0.33 up to 100, -0.51 up to 130, -1.2 up to 150, -3.7 up to 170: there
# one in seven replies has no more than two words.
EMBEDDED_TOKENS = 130
DRIVERS = {  # what people write -> the asynchronous driver that the store needs
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
MAX_PORT = 65_535
# user:password@host:port/name?more=…, as SQLAlchemy reads it: brackets in a password are fine.
_SERVER = re.compile(
    r"(?:[^:/@]*(?::(?P<password>[^@]*))?@)?"
    r"(?:\[[^]/?@]+\]|[^:/?@[\]]+)?(?::(?P<port>[0-9]{1,5}))?(?:/[^?]*)?(?:\?(?P<options>.*))?"
)
# What may follow the "?"; the driver would stumble over another name.
_OPTIONS = frozenset(
    {"host", "ssl", "passfile", "target_session_attrs", "prepared_statement_cache_size"}
)


def _sampling(name: str) -> Any:
    bound = BOUNDS[name]
    return Field(default=getattr(SamplingParams(), name), ge=bound.low, le=bound.high)


def _split_ids(value: object) -> object:
    """Numbers separated by commas or blanks, as a list; anything else as it is."""
    return re.split(r"[,\s]+", value.strip(", \t")) if isinstance(value, str) else value


def _check_token(value: object) -> object:
    if isinstance(value, str) and not is_bot_token(value):
        raise ValueError("not a token")
    return value


def _check_database_url(value: object) -> object:
    """`value` with the driver that the store needs."""
    scheme, _, rest = str(value).partition("://")
    driver = DRIVERS.get(scheme, scheme)
    is_file = driver == DRIVERS["sqlite"] and re.match(r"/(?!:memory:).", rest)
    if not is_file and driver != DRIVERS["postgresql"]:
        raise ValueError("not a database we know")
    return f"{driver}://{rest if is_file else _server(rest)}"


def _server(rest: str) -> str:
    """The address of a PostgreSQL server, its options called as the driver calls them."""
    found = _SERVER.fullmatch(rest) if rest else None
    if found is None or not 1 <= int(found["port"] or 1) <= MAX_PORT:
        raise ValueError("not an address")
    if found["options"] is None:
        return rest
    options = re.sub(r"(^|&)sslmode=", r"\1ssl=", found["options"])
    if not {option.partition("=")[0] for option in options.split("&") if option} <= _OPTIONS:
        raise ValueError("not an option we know")
    return rest[: found.start("options")] + options


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Ids = Annotated[frozenset[Id], BeforeValidator(_split_ids)]


class Settings(BaseModel):
    """What the operator decided; `.env.example` says what each variable is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    discord_token: Annotated[SecretStr, BeforeValidator(_check_token)] | None = None
    model: str = DISCORD_MODEL
    model_revision: str | None = None
    reverse_model: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    num_threads: int | None = Field(default=None, ge=1, le=256)
    kv_cache_mb: int = Field(default=512, ge=1, le=1_048_576)
    database_url: Annotated[str, BeforeValidator(_check_database_url)] = (
        "sqlite+aiosqlite:///data/banter.db"
    )
    history: Literal["channel", "member"] = "channel"
    context_tokens: int = Field(default=256, ge=16, le=4096)
    context_turns: int = Field(default=16, ge=1, le=200)
    idle_minutes: int = Field(default=60, ge=0, le=525_600)
    temperature: float = _sampling("temperature")
    top_k: int = _sampling("top_k")
    top_p: float = _sampling("top_p")
    min_p: float = _sampling("min_p")
    repetition_penalty: float = _sampling("repetition_penalty")
    no_repeat_ngram_size: int = _sampling("no_repeat_ngram_size")
    no_repeat_own_ngram_size: int = _sampling("no_repeat_own_ngram_size")
    dry_multiplier: float = _sampling("dry_multiplier")
    min_new_tokens: int = _sampling("min_new_tokens")
    max_new_tokens: int = _sampling("max_new_tokens")
    num_candidates: int = _sampling("num_candidates")
    seed: int | None = _sampling("seed")
    # On, off, or the owner's own file: "on" has to be tried before every word is a path.
    blocked_words: bool | Path = Field(default=True, union_mode="left_to_right")
    max_queue: int = Field(default=64, ge=1, le=10_000)
    max_pending_per_user: int = Field(default=3, ge=1, le=1000)
    cooldown_seconds: float = Field(default=0.0, ge=0, le=86_400)
    reply_seconds: float = Field(default=120.0, ge=1, le=840)
    catch_up_minutes: int = Field(default=30, ge=0, le=1440)
    allowed_channel_ids: Ids = frozenset()
    blocked_channel_ids: Ids = frozenset()
    blocked_user_ids: Ids = frozenset()
    allowed_role_ids: Ids = frozenset()
    allow_dms: bool = True
    message_content: bool = False
    retention_days: int = Field(default=30, ge=1, le=3650)
    history_key: SecretStr | None = None
    privacy_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)
    ] = "INFO"
    log_format: Literal["text", "json"] = "text"
    dev_guild_id: Id | None = None

    @property
    def sampling(self) -> SamplingParams:
        """The default SamplingParams: the lowest layer."""
        values = {name: getattr(self, name) for name in BOUNDS}
        if self.model == EMBEDDED_MODEL:
            values |= {k: v for k, v in EMBEDDED_SAMPLING.items() if k not in self.model_fields_set}
        return SamplingParams(**values)

    @property
    def num_context_turns(self) -> int:
        """`context_turns`; where it is not set, what the embedded model can follow."""
        is_open = self.model == EMBEDDED_MODEL and "context_turns" not in self.model_fields_set
        return EMBEDDED_TURNS if is_open else self.context_turns

    @property
    def num_context_tokens(self) -> int:
        """`context_tokens`; where it is not set, what the embedded model can follow."""
        is_open = self.model == EMBEDDED_MODEL and "context_tokens" not in self.model_fields_set
        return EMBEDDED_TOKENS if is_open else self.context_tokens

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never stand in a log line."""
        hidden = (self.discord_token, self.history_key)
        server = _SERVER.fullmatch(self.database_url.partition("://")[2])
        password = server["password"] if server else None
        written = [secret.get_secret_value() for secret in hidden if secret]
        return (*written, password, unquote(password)) if password else tuple(written)


VARIABLES = tuple(name.upper() for name in Settings.model_fields)


def load_settings(
    environ: Mapping[str, str], env_file: Path = ENV_FILE, *, default_model: str = DISCORD_MODEL
) -> Settings:
    """The settings from `environ`, then from `env_file` (which need not exist).

    `default_model` is taken where MODEL is not set.
    Raises WrongSettingsError, or SeveralWrongSettingsError with all mistakes at once.
    """
    settings, mistakes = examine_settings(environ, env_file, default_model=default_model)
    if not mistakes:
        return settings
    raise mistakes[0] if len(mistakes) == 1 else SeveralWrongSettingsError(mistakes)


def examine_settings(
    environ: Mapping[str, str], env_file: Path = ENV_FILE, *, default_model: str = DISCORD_MODEL
) -> tuple[Settings, list[WrongSettingsError]]:
    """The settings with a default in place of each wrong value, and a mistake for each of those.

    A file that cannot be read is one mistake, without a `name` among its values.
    """
    try:
        written = read_variables(env_file)
        mistakes = list(misspelt(written, VARIABLES, env_file))
    except WrongSettingsError as error:
        written, mistakes = {}, [error]
    given = {"model": default_model} | _given(written) | _given(environ)
    try:
        return Settings.model_validate(given), mistakes
    except ValidationError as error:
        wrong = dict.fromkeys(str(one["loc"][0]) for one in error.errors(include_url=False))
    fields = Settings.model_fields
    mistakes += [mistake_of(name, fields[name], given[name]) for name in wrong]
    right = {name: value for name, value in given.items() if name not in wrong}
    return Settings.model_validate(right), mistakes


def _given(variables: Mapping[str, str]) -> dict[str, str]:
    """What is set, by its field's name; Docker's --env-file leaves quotes around a value."""
    bare = {
        name: re.sub(r"^(['\"])(.*)\1$", r"\2", variables.get(name, "").strip())
        for name in VARIABLES
    }
    return {name.lower(): value.strip() for name, value in bare.items() if value.strip()}
