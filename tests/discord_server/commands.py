"""From a registered command and a member's words to the content of an interaction."""

from collections.abc import Mapping
from typing import Any

from tests.discord_server.payloads import (
    Viewer,
    attachment_payload,
    channel_payload,
    member_payload,
    message_payload,
    role_payload,
    user_payload,
)
from tests.discord_server.permissions import permissions_in
from tests.discord_server.state import Attachment, Channel, Json, Message, Role, User
from tests.discord_server.world import World

_SUBCOMMANDS = frozenset({1, 2})
_CHAT_INPUT = 1


def find_command(world: World, channel: Channel, name: str) -> tuple[Json, list[str]]:
    """The command that `name` begins with, of the guild or global, and its subcommands' names."""
    guild_id = None if channel.guild is None else channel.guild.id
    offered = [*world.commands.get(guild_id, []), *world.commands.get(None, [])]
    for command in offered:
        if command["name"] == name:
            return _offered_in(command, channel), []
    first, *rest = name.split()
    for command in offered:
        if command["name"] == first and command["type"] == _CHAT_INPUT:
            return _offered_in(command, channel), rest
    raise LookupError(f"the bot has registered no command {name!r}")


def _offered_in(command: Json, channel: Channel) -> Json:
    context = 1 if channel.guild is None else 0
    contexts = command.get("contexts")
    outside = context == 1 and not command.get("dm_permission", True)
    if outside or (contexts is not None and context not in contexts):
        raise LookupError(f"Discord does not offer {command['name']!r} here")
    return command


def command_content(
    world: World,
    channel: Channel,
    name: str,
    options: Mapping[str, Any],
    *,
    target: Message | User | None = None,
    focused: str | None = None,
) -> Json:
    """The `data` of a command: its options by declared type, with what they resolve to.

    Bounds and choices are not checked, so that a test can forge a value.
    """
    command, rest = find_command(world, channel, name)
    content: Json = {"id": command["id"], "name": command["name"], "type": command["type"]}
    if "guild_id" in command:
        content["guild_id"] = command["guild_id"]
    resolved: Json = {}
    if target is not None:
        content["target_id"] = str(target.id)
        resolve(world, channel, target, resolved)
    elif command["type"] != _CHAT_INPUT:
        raise LookupError(f"{name!r} is a menu command and needs a target")
    declared, chain = _leaf(command, rest)
    inner = _given(world, channel, declared, options, resolved, focused)
    for kind, one in reversed(chain):
        inner = [{"type": kind, "name": one, "options": inner}]
    return {**content, "options": inner, "resolved": resolved}


def _leaf(command: Json, rest: list[str]) -> tuple[list[Json], list[tuple[int, str]]]:
    declared: list[Json] = command.get("options") or []
    chain: list[tuple[int, str]] = []
    for name in rest:
        found = [one for one in declared if one["name"] == name and one["type"] in _SUBCOMMANDS]
        if not found:
            raise LookupError(f"{command['name']!r} has no subcommand {name!r}")
        chain.append((found[0]["type"], name))
        declared = found[0].get("options") or []
    if any(one["type"] in _SUBCOMMANDS for one in declared):
        raise LookupError(f"{command['name']!r} cannot be used without a subcommand")
    return declared, chain


def _given(
    world: World,
    channel: Channel,
    declared: list[Json],
    options: Mapping[str, Any],
    resolved: Json,
    focused: str | None,
) -> list[Json]:
    by_name = {one["name"]: one for one in declared}
    unknown = options.keys() - by_name.keys()
    if unknown:
        raise LookupError(f"no such options: {', '.join(sorted(unknown))}")
    missing = {name for name, one in by_name.items() if one.get("required")} - options.keys()
    if missing and focused is None:
        raise LookupError(f"options are missing: {', '.join(sorted(missing))}")
    given = []
    for name, value in options.items():
        option: Json = {"name": name, "type": by_name[name]["type"], "value": value}
        if isinstance(value, User | Role | Channel | Attachment):
            resolve(world, channel, value, resolved)
            option["value"] = str(value.id)
        if name == focused:
            option["focused"] = True
        given.append(option)
    return given


def resolve(
    world: World,
    channel: Channel,
    value: User | Role | Channel | Attachment | Message,
    resolved: Json,
) -> None:
    """Add what a value stands for to the `resolved` of an interaction."""
    key = str(value.id)
    if isinstance(value, User):
        resolved.setdefault("users", {})[key] = user_payload(value)
        if channel.guild is not None and value.id in channel.guild.members:
            member = member_payload(channel.guild.members[value.id])
            permissions = str(int(permissions_in(channel, value)))
            resolved.setdefault("members", {})[key] = {**member, "permissions": permissions}
    elif isinstance(value, Role):
        resolved.setdefault("roles", {})[key] = role_payload(value)
    elif isinstance(value, Attachment):
        resolved.setdefault("attachments", {})[key] = attachment_payload(value)
    elif isinstance(value, Channel):
        allowed = str(int(permissions_in(value, world.bot)))
        shown = {**channel_payload(value, world.bot), "permissions": allowed}
        resolved.setdefault("channels", {})[key] = shown
    else:
        # A menu command shows the application its message, whatever the intents.
        shown = message_payload(value, Viewer(world.bot, reads_content=True), world.users)
        resolved.setdefault("messages", {})[key] = shown
