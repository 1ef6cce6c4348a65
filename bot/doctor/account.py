"""What Discord says of the token, the application and its intents; one login and no connection."""

import asyncio
from collections.abc import Collection, Iterator

import discord

from bot.client.chat_bot import invitation
from bot.client.command_sync import OWN_NAMES, registered_names
from bot.client.connection import UNREACHABLE, logged_in, unreachable
from bot.client.discord_clock import TOLERANCE, DiscordClock
from bot.doctor.channels import examine_channels
from bot.doctor.findings import Finding, fault, faults, ok, warn
from bot.errors import StartError, WrongSettingsError
from bot.settings.settings import Settings
from bot.startup.single_instance import is_running

PATIENCE_SECONDS = 8.0  # for all that Discord is asked


async def ask_discord(
    settings: Settings, unsure: Collection[str], channel_ids: Collection[int]
) -> list[Finding]:
    """Ask Discord who the bot is, what it may ask for, and what it may do in each channel."""
    if settings.discord_token is None:
        unasked = warn(
            "The channels were not checked: Discord tells of them only where a token is set."
        )
        return [unasked] if channel_ids else []
    token = settings.discord_token.get_secret_value()
    findings: list[Finding] = []
    try:
        clock = DiscordClock()
        async with asyncio.timeout(PATIENCE_SECONDS), logged_in(token, clock) as client:
            findings += _examine_clock(clock)
            if client.application is not None:
                findings += _examine_application(client.application, settings, unsure)
            if is_running(token):
                findings.append(ok("Banter is running with this token now."))
            findings += await _examine_own_server(client, settings)
            findings += await _examine_commands(client, settings)
            findings += await examine_channels(client, settings, channel_ids)
    except TimeoutError:
        silence = fault(
            "Discord did not answer within {seconds} s: check the network and a proxy, look at "
            "https://discordstatus.com, and try again.",
            seconds=round(PATIENCE_SECONDS),
        )
        findings.append(silence)
    except UNREACHABLE as error:
        findings += faults(unreachable(error))
    except StartError as error:
        findings += faults(error)
    return findings


def _examine_clock(clock: DiscordClock) -> list[Finding]:
    """Whether the clock of this machine is right, by what Discord just told."""
    seconds = round(clock.difference.total_seconds())
    if abs(clock.difference) <= TOLERANCE:
        return []
    off = (
        warn(
            "The clock of this machine is {seconds} s ahead of Discord's. The bot goes by "
            "Discord's, but times in the log are wrong: let the machine set its clock by the "
            "network (timedatectl set-ntp true).",
            seconds=seconds,
        )
        if seconds > 0
        else warn(
            "The clock of this machine is {seconds} s behind Discord's. The bot goes by "
            "Discord's, but times in the log are wrong: let the machine set its clock by the "
            "network (timedatectl set-ntp true).",
            seconds=-seconds,
        )
    )
    return [off]


def _examine_application(
    application: discord.AppInfo, settings: Settings, unsure: Collection[str]
) -> Iterator[Finding]:
    """Who the bot is, and what is set on its page."""
    yield _introduce(application)
    page = f"https://discord.com/developers/applications/{application.id}"
    if application.bot_public:
        yield warn(
            "Anyone can add the bot to a server and use your machine: on {page} set Install Link "
            "to None (page Installation), then switch Public Bot off (page Bot).",
            page=page,
        )
    if application.bot_require_code_grant:
        yield warn(
            "The link that invites the bot does not work: on {page} switch Requires OAuth2 Code "
            "Grant off (page Bot).",
            page=page,
        )
    if application.interactions_endpoint_url:
        yield warn(
            "The slash commands do not reach the bot: on {page} empty the field Interactions "
            "Endpoint URL (page General Information).",
            page=page,
        )
    if "MESSAGE_CONTENT" not in unsure:
        yield from _examine_intents(application.flags, settings, page)


def _introduce(application: discord.AppInfo) -> Finding:
    """The bot's name, and in how many servers it is."""
    number = application.approximate_guild_count
    if not number:
        return warn(
            "Discord knows the token: the bot is {bot}, in no server yet. Invite it: {link}",
            bot=application.name,
            link=invitation(application.id),
        )
    return ok(
        "Discord knows the token: the bot is {bot} (id {id}). Servers: {number}.",
        bot=application.name,
        id=application.id,
        number=number,
    )


def _examine_intents(
    flags: discord.ApplicationFlags, settings: Settings, page: str
) -> Iterator[Finding]:
    """Whether Discord allows the intent that MESSAGE_CONTENT needs."""
    if not settings.message_content:
        yield ok("No privileged intent is needed, and none is asked for.")
    # The second one is that of a bot in fewer than 100 servers.
    elif flags.gateway_message_content or flags.gateway_message_content_limited:
        yield ok("MESSAGE_CONTENT is on, and so is the Message Content intent on Discord.")
    else:
        refusal = WrongSettingsError(
            "MESSAGE_CONTENT is on, but Discord does not allow it: on {page} switch Message "
            "Content Intent on (page Bot), or set MESSAGE_CONTENT=off, which is enough for "
            "mentions and direct messages.",
            page=page,
        )
        yield from faults(refusal)


async def _examine_own_server(client: discord.Client, settings: Settings) -> list[Finding]:
    """Whether the bot is in the server of DEV_GUILD_ID."""
    if settings.dev_guild_id is None:
        return []
    try:
        await client.fetch_guild(settings.dev_guild_id)
    except (discord.NotFound, discord.Forbidden):
        stranger = warn(
            "DEV_GUILD_ID is {id}, but the bot is in no such server, so there are no slash "
            "commands: invite it there, or leave DEV_GUILD_ID empty.",
            id=settings.dev_guild_id,
        )
        return [stranger]
    return []


async def _examine_commands(client: discord.Client, settings: Settings) -> list[Finding]:
    """Whether Discord has the slash commands, by their names: nothing is loaded to compare more."""
    try:
        found = await registered_names(
            client.http, client.application_id or 0, settings.dev_guild_id
        )
    except (discord.NotFound, discord.Forbidden):
        return []  # in a server that the bot is not in: that was told
    if not found:
        return [ok("Discord has no slash commands of the bot yet: it sends them when it starts.")]
    if missing := sorted(OWN_NAMES - found):
        others = warn(
            "Discord lacks slash commands of the bot ({names}): another program with this token "
            "has overwritten them, or they are new. Start the bot again, and it sends them.",
            names=", ".join(f"/{name}" for name in missing),
        )
        return [others]
    return []
