"""Settings: every variable, its default and its check.

A variable comes from the environment or from `.env`; the environment wins, and an empty value
means "not set". Every mistake is one sentence that names the variable, the value (never a
secret) and what is allowed.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from bot.dialogue.context import ContextBudget
from bot.dialogue.profiles import DIALOGPT, EMBEDDED, Profile
from bot.dialogue.sampling import BOUNDS, Defaults, SamplingParams
from bot.errors import SeveralWrongSettingsError, WrongSettingsError
from bot.settings.bot_token import is_bot_token
from bot.settings.env_file import ENV_FILE, misspelt, read_variables
from bot.settings.mistakes import mistake_of

DATA_FOLDER = Path("data")  # in the folder that the bot is started in, like .env
MODELS_FOLDER = DATA_FOLDER / "models"
MAX_ID = 2**63 - 1  # Discord's ids fit a signed 64-bit column
DISCORD_MODEL = "microsoft/DialoGPT-medium"
EMBEDDED_MODEL = "embedded"  # the demonstration voice of the playground and the terminal
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
    context_tokens: int = Field(default=DIALOGPT.budget.num_tokens, ge=16, le=4096)
    context_turns: int = Field(default=DIALOGPT.budget.num_turns, ge=1, le=200)
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

    def defaults(self, profile: Profile) -> Defaults:
        """The lowest layer: the values of `profile` under those that are set here."""
        chosen = {name: getattr(self, name) for name in BOUNDS if name in self.model_fields_set}
        return Defaults(replace(profile.sampling, **chosen), profile.name, frozenset(chosen))

    def budget(self, profile: Profile) -> ContextBudget:
        """What a prompt may hold: as `profile` has it, under what is set here."""
        is_set, known = self.model_fields_set, profile.budget
        return ContextBudget(
            self.context_tokens if "context_tokens" in is_set else known.num_tokens,
            self.context_turns if "context_turns" in is_set else known.num_turns,
        )

    @property
    def sampling(self) -> SamplingParams:
        """What a text is gone on with where no model was looked at."""
        return self.defaults(EMBEDDED if self.model == EMBEDDED_MODEL else DIALOGPT).params

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
