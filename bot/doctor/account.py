"""What Discord says of the token, the application and its intents; one login and no connection."""

import asyncio
from collections.abc import Collection

import discord

from bot.client.chat_bot import invitation
from bot.client.connection import UNREACHABLE, logged_in, unreachable
from bot.doctor.channels import examine_channels
from bot.doctor.findings import Finding, fault, faults, ok, warning
from bot.errors import StartError, UnavailableError, WrongSettingsError
from bot.settings.settings import Settings
from bot.startup.single_instance import is_running
from bot.texts import mark

PATIENCE_SECONDS = 8.0  # for all that Discord is asked


async def ask_discord(
    settings: Settings, unsure: Collection[str], channel_ids: Collection[int]
) -> list[Finding]:
    """Ask Discord who the bot is, what it may ask for, and what it may do in each channel."""
    if settings.discord_token is None:
        return [_unasked()] if channel_ids else []
    token = settings.discord_token.get_secret_value()
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), logged_in(token) as client:
            if client.application is not None:
                findings += _examine_application(client.application, settings, unsure)
            findings += [ok(mark("Banter is running with this token now."))] * is_running(token)
            findings += await _examine_own_server(client, settings)
            findings += await examine_channels(client, settings, channel_ids)
    except TimeoutError:
        findings.append(fault(_no_answer()))
    except UNREACHABLE as error:
        findings.append(fault(unreachable(error)))
    except StartError as error:
        findings += faults(error)
    return findings


def _unasked() -> Finding:
    return warning(
        mark("The channels were not checked: Discord tells of them only where a token is set.")
    )


def _no_answer() -> UnavailableError:
    return UnavailableError(
        "Discord did not answer within {seconds} s: check the network and a proxy, look at "
        "https://discordstatus.com, and try again.",
        seconds=round(PATIENCE_SECONDS),
    )


def _examine_application(
    application: discord.AppInfo, settings: Settings, unsure: Collection[str]
) -> list[Finding]:
    findings = [_introduce(application)]
    page = f"https://discord.com/developers/applications/{application.id}"
    if application.bot_public:
        findings.append(
            warning(
                mark(
                    "Anyone can add the bot to a server and use your machine: on {page} set "
                    "Install Link to None (page Installation), then switch Public Bot off (page "
                    "Bot)."
                ),
                page=page,
            )
        )
    if application.bot_require_code_grant:
        findings.append(
            warning(
                mark(
                    "The link that invites the bot does not work: on {page} switch Requires "
                    "OAuth2 Code Grant off (page Bot)."
                ),
                page=page,
            )
        )
    if application.interactions_endpoint_url:
        findings.append(
            warning(
                mark(
                    "The slash commands do not reach the bot: on {page} empty the field "
                    "Interactions Endpoint URL (page General Information)."
                ),
                page=page,
            )
        )
    if "MESSAGE_CONTENT" not in unsure:
        findings.append(_examine_intents(application.flags, settings, page))
    return findings


def _introduce(application: discord.AppInfo) -> Finding:
    number = application.approximate_guild_count
    if not number:
        return warning(
            mark("Discord knows the token: the bot is {bot}, in no server yet. Invite it: {link}"),
            bot=application.name,
            link=invitation(application.id),
        )
    return ok(
        mark("Discord knows the token: the bot is {bot} (id {id}). Servers: {number}."),
        bot=application.name,
        id=application.id,
        number=number,
    )


def _examine_intents(flags: discord.ApplicationFlags, settings: Settings, page: str) -> Finding:
    if not settings.message_content:
        return ok(mark("No privileged intent is needed, and none is asked for."))
    # The second one is that of a bot in fewer than 100 servers.
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        return ok(mark("MESSAGE_CONTENT is on, and so is the Message Content intent on Discord."))
    return fault(
        WrongSettingsError(
            "MESSAGE_CONTENT is on, but Discord does not allow it: on {page} switch Message "
            "Content Intent on (page Bot), or set MESSAGE_CONTENT=off, which is enough for "
            "mentions and direct messages.",
            page=page,
        )
    )


async def _examine_own_server(client: discord.Client, settings: Settings) -> list[Finding]:
    if settings.dev_guild_id is None:
        return []
    try:
        await client.fetch_guild(settings.dev_guild_id)
    except (discord.NotFound, discord.Forbidden):
        return [
            warning(
                mark(
                    "DEV_GUILD_ID is {id}, but the bot is in no such server, so there are no slash "
                    "commands: invite it there, or leave DEV_GUILD_ID empty."
                ),
                id=settings.dev_guild_id,
            )
        ]
    return []
