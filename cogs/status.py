"""/status: what runs here, how busy it is, and what is remembered of this place."""

from dataclasses import replace
from datetime import datetime
from math import isfinite

import discord
from discord import app_commands
from discord.app_commands import locale_str
from discord.ext import commands
from discord.utils import format_dt

from bot.answering.ports import HistoryStore, ScopeStatus
from bot.client.chat_bot import ChatBot
from bot.client.event_guard import EventGuard
from bot.engine.protocol import NUM_COUNTED, Engine, EngineInfo, EngineLoad
from bot.errors import StoreUnavailableError
from bot.texts import explain, say
from cogs._discord.places import scope_at
from cogs._language import locale_of
from cogs._telling import model_name, tell

NUM_REVISION_CHARS = 8  # of a commit's hash: enough to tell it apart


class StatusCommands(commands.Cog):
    """Answers what people ask when a reply is slow or strange.

    `client` knows the connection, `events` what of it could not be read; `license_id`: see
    Foundation.
    """

    def __init__(
        self,
        *,
        client: discord.Client,
        events: EventGuard,
        started_at: datetime,
        engine: Engine,
        license_id: str,
        store: HistoryStore,
        history: str,
    ) -> None:
        self._client = client
        self._events = events
        self._engine = engine
        self._info = replace(engine.info, model=model_name(engine.info.model))
        self._license_id = license_id
        self._store = store
        self._history = history
        self._started_at = started_at

    @app_commands.command(
        name="status", description=locale_str("How I am: model, queue, and what I remember here")
    )
    async def status(self, interaction: discord.Interaction) -> None:
        """Everything that is known, also when the database is away."""
        await interaction.response.defer(ephemeral=True)
        locale, load = locale_of(interaction), self._engine.load()
        lines = [
            model_line(self._info, self._license_id, locale),
            queue_line(load, locale),
            cache_line(load, locale),
            self._connection_line(locale),
            *unread_lines(self._events.num_unread, locale),
            await self._memory_line(interaction, locale),
        ]
        await tell(interaction, "\n".join(lines))

    def _connection_line(self, locale: str) -> str:
        seconds = self._client.latency
        return say(
            "**Bot**: started {since}, {latency} to Discord, servers: {num_servers}",
            locale,
            since=format_dt(self._started_at, "R"),
            # Not a number before the first heartbeat was answered.
            latency=f"{1000 * seconds:.0f} ms" if isfinite(seconds) else "–",
            num_servers=len(self._client.guilds),
        )

    async def _memory_line(self, interaction: discord.Interaction, locale: str) -> str:
        try:
            remembered = await self._store.status(scope_at(interaction, self._history))
        except StoreUnavailableError as error:
            return explain(error, locale)
        return memory_line(remembered, locale)


def model_line(info: EngineInfo, license_id: str, locale: str) -> str:
    """What is served, and on what; `license_id` is empty where it is not known."""
    line = say(
        "**Model**: `{model}` ({revision}), {num_millions} M parameters, {dtype} on {device}, "
        "window of {window} tokens",
        locale,
        model=info.model,
        revision=info.revision[:NUM_REVISION_CHARS] or "–",
        num_millions=round(info.num_parameters / 1e6),
        dtype=info.dtype,
        device=info.device,
        window=info.window,
    )
    return line + say(", license {name}", locale, name=license_id) if license_id else line


def queue_line(load: EngineLoad, locale: str) -> str:
    """Who waits, and how many replies are made in one batch."""
    return say(
        "**Queue**: {num_waiting} waiting, {num_running} being answered, "
        "{tokens_per_second} tokens/s; replies being written: {num_rows}, at most "
        "{max_rows} at once",
        locale,
        num_waiting=load.num_waiting,
        num_running=load.num_running,
        tokens_per_second=f"{load.tokens_per_second:.0f}",
        num_rows=load.num_rows,
        max_rows=load.max_rows,
    )


def cache_line(load: EngineLoad, locale: str) -> str:
    """What is kept of conversations so that it need not be read again, and how far that helps."""
    if load.prefix_bytes is None or load.max_prefix_bytes is None:
        return say("**Cache**: none, I read the whole conversation again for each reply", locale)
    line = say(
        "**Cache**: {kept} of {most} MB hold conversations I have read",
        locale,
        kept=round(load.prefix_bytes / 2**20),
        most=round(load.max_prefix_bytes / 2**20),
    )
    if load.cached_share is None:
        return line
    return line + say(
        "; of what the last {num_requests} replies had to read, {share} was there already",
        locale,
        share=f"{load.cached_share:.0%}",
        num_requests=NUM_COUNTED,
    )


def unread_lines(num_unread: int, locale: str) -> list[str]:
    """How many events were left out because they could not be read; no line where none was."""
    if not num_unread:
        return []
    line = say(
        "**Events**: of those that Discord sent I couldn't read {number}", locale, number=num_unread
    )
    return [line]


def memory_line(remembered: ScopeStatus, locale: str) -> str:
    """What is remembered of this place, and how far back the last prompt reached."""
    if not remembered.num_turns:
        return say("**Here**: I remember nothing yet", locale)
    line = say(
        "**Here**: I remember the last {num_turns} turns",
        locale,
        num_turns=remembered.num_turns,
    )
    if remembered.num_prompt_tokens is None:
        return line
    tokens = remembered.num_prompt_tokens
    if remembered.context_start_at is None:
        return line + say("; my last prompt held {num_tokens} tokens", locale, num_tokens=tokens)
    return line + say(
        "; my last prompt held {num_tokens} tokens, from {since} on",
        locale,
        num_tokens=tokens,
        since=format_dt(remembered.context_start_at, "f"),
    )


async def setup(bot: ChatBot) -> None:
    """Add the command."""
    services = bot.services
    await bot.add_cog(
        StatusCommands(
            client=bot,
            events=bot.events,
            started_at=bot.clock.now(),
            engine=services.engine,
            license_id=services.license_id,
            store=services.history,
            history=services.settings.history,
        )
    )
