"""Looks which slash commands Discord has, and sends ours where it has others."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiohttp
import discord
from discord import app_commands
from discord.http import HTTPClient, Route

from bot.errors import StoreUnavailableError
from bot.ports import BOT_ITSELF, ServerStore

logger = logging.getLogger(__name__)

EVERYWHERE = 0  # where the commands are, when they are not those of one server
OWN_NAMES = frozenset(
    {"reset", "settings", "complete", "status", "help", "privacy", "mydata"}
)  # what our commands are called, for the doctor, who loads none
# The type of the command that opens an Activity. Discord makes it by itself, and refuses all
# commands (50240) where it is not among them.
ENTRY_POINT = 4
# What of a command, an option or a choice is compared: the rest is Discord's own, or follows from
# these, as `dm_permission` does from `contexts`.
_COMPARED = frozenset(
    {
        *("type", "name", "name_localizations", "description", "description_localizations"),
        *("default_member_permissions", "nsfw", "contexts", "integration_types"),
        *("options", "required", "choices", "value", "channel_types", "autocomplete"),
        *("min_value", "max_value", "min_length", "max_length"),
    }
)
_ONLY_EVERYWHERE = frozenset({"contexts", "integration_types"})  # a server's own have none
_NUMBER_AS_TEXT = "default_member_permissions"

Tree = app_commands.CommandTree[Any]
Command = Mapping[str, Any]


async def sync_commands(
    tree: Tree, servers: ServerStore, application_id: int, guild_id: int | None
) -> None:
    """Send the commands to Discord if it has others.

    With `guild_id` they become that server's own, else all servers have them. The place that had
    them before loses them: where both are, every command appears twice.
    """
    here = guild_id or EVERYWHERE
    if guild_id:
        tree.copy_global_to(guild=discord.Object(guild_id))
    discord_side = _Registry(tree.client.http, application_id)
    key = f"commands:{application_id}"
    past = EVERYWHERE
    try:
        past = _place_in(await servers.setting(BOT_ITSELF, key))
    except StoreUnavailableError:
        logger.warning("Whether another place still shows the slash commands is not known.")
    try:
        is_new = await discord_side.set(here, await _payload(tree, guild_id))
        if past != here:
            await _clear(discord_side, past)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        # The bot can still chat, and the next start tries again.
        logger.error("Discord did not take the slash commands: %s", error)  # noqa: TRY400 - no bug
        return
    if is_new:
        logger.info("The slash commands changed and were sent to Discord.")
    else:
        logger.info("The slash commands are as Discord has them.")
    if past != here:
        try:
            await servers.save_setting(BOT_ITSELF, key, str(here))
        except StoreUnavailableError as error:
            logger.warning("The next start looks for the slash commands again: %s", error)


async def registered_names(http: HTTPClient, application_id: int, guild_id: int | None) -> set[str]:
    """What the commands are called that Discord has, of all servers or of one."""
    found = await _Registry(http, application_id).get(guild_id or EVERYWHERE)
    return {command["name"] for command in found}


class _Registry:
    """The commands that Discord has of an application, by place: EVERYWHERE, or a server's id."""

    def __init__(self, http: HTTPClient, application_id: int) -> None:
        self._http = http
        self._application_id = application_id

    async def get(self, place: int) -> Sequence[Command]:
        """What is there, with all translations."""
        path = "/applications/{application_id}/commands"
        if place != EVERYWHERE:
            path = "/applications/{application_id}/guilds/{guild_id}/commands"
        route = Route("GET", path, application_id=self._application_id, guild_id=place)
        found: Sequence[Command] = await self._http.request(
            route, params={"with_localizations": "true"}
        )
        return found

    async def set(self, place: int, ours: Sequence[Command]) -> bool:
        """Let `ours` be what is there, if there is anything else; whether there was."""
        found = await self.get(place)
        others = [one for one in found if one["type"] != ENTRY_POINT]
        if _comparable(ours, place) == _comparable(others, place):
            return False
        kept = (_sent_back(one) for one in found if one["type"] == ENTRY_POINT)
        payload = [*map(dict, ours), *kept]
        if place == EVERYWHERE:
            await self._http.bulk_upsert_global_commands(self._application_id, payload=payload)
        else:
            await self._http.bulk_upsert_guild_commands(
                self._application_id, place, payload=payload
            )
        return True


async def _clear(discord_side: _Registry, past: int) -> None:
    """Take the commands from where they were."""
    try:
        await discord_side.set(past, [])
    except (discord.Forbidden, discord.NotFound) as error:
        if past == EVERYWHERE:
            raise
        # The bot has left that server, where its copies are not shown either.
        logger.info("The commands of server %s stay as they are: %s", past, error)


async def _payload(tree: Tree, guild_id: int | None) -> list[Command]:
    """The commands as Discord takes them, translations included."""
    guild = discord.Object(guild_id) if guild_id else None
    translator = tree.translator
    return [
        await command.get_translated_payload(tree, translator)
        if translator
        else command.to_dict(tree)
        for command in tree.get_commands(guild=guild)
    ]


def _place_in(setting: str | None) -> int:
    """Where the commands were; earlier versions wrote what they were behind it."""
    written = (setting or "").partition(":")[0]
    return int(written) if written.isdecimal() else EVERYWHERE


def _comparable(commands: Iterable[Command], place: int) -> dict[tuple[int, str], Any]:
    """Commands by type and name, in the one form that equal ones share."""
    without = frozenset() if place == EVERYWHERE else _ONLY_EVERYWHERE
    plain = (_plain(command, without) for command in commands)
    return {(command["type"], command["name"]): command for command in plain}


def _plain(node: Command, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A command, an option or a choice without what is said by leaving it out."""
    plain = {}
    for key in (_COMPARED - without) & node.keys():
        value = node[key]
        if key in _ONLY_EVERYWHERE and value:
            value = sorted(value)
        elif key == _NUMBER_AS_TEXT and value is not None:
            value = int(value)
        elif key in {"options", "choices"} and value:
            value = [_plain(one) for one in value]
        if value is not None and value is not False and value not in ("", [], {}):
            plain[key] = value
    return plain


def _sent_back(command: Command) -> dict[str, Any]:
    """A command of Discord's own, as it has to be named when all are sent."""
    return _plain(command) | {key: command[key] for key in ("id", "handler") if key in command}
