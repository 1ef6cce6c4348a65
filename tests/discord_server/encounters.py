"""What members do with the bot's commands, buttons and forms."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.discord_server.callbacks import CallbackRoutes
from tests.discord_server.commands import command_content, find_command, resolve
from tests.discord_server.interactions import (
    Interaction,
    InteractionKind,
    interaction_payload,
)
from tests.discord_server.platform import Platform
from tests.discord_server.state import Channel, Json, Message, Role, User

_BUTTON = 2


class InteractionVerbs:
    """The verbs of a test that end in INTERACTION_CREATE."""

    def __init__(self, platform: Platform, callbacks: CallbackRoutes) -> None:
        self._platform = platform
        self._callbacks = callbacks

    def interact(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        channel: Channel,
        member: User,
        target: Message | User | None = None,
        locale: str = "en-US",
        permissions: int | None = None,
    ) -> Interaction:
        """Use a command: "settings", "mydata export", or a menu command with its target."""
        world = self._platform.world
        content = command_content(world, channel, name, options or {}, target=target)
        is_menu = find_command(world, channel, name)[0]["type"] != 1
        interaction = self._new(InteractionKind.COMMAND, channel, member, is_menu=is_menu)
        self._dispatch(interaction, content, locale=locale, permissions=permissions)
        return interaction

    def complete(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        focused: str,
        channel: Channel,
        member: User,
        locale: str = "en-US",
    ) -> Interaction:
        """Ask for the completions of the option being typed."""
        world = self._platform.world
        content = command_content(world, channel, name, options, focused=focused)
        interaction = self._new(InteractionKind.AUTOCOMPLETE, channel, member)
        self._dispatch(interaction, content, locale=locale)
        return interaction

    def press(
        self,
        message: Message,
        custom_id: str,
        *,
        member: User,
        values: Sequence[str | User | Role | Channel] = (),
        locale: str = "en-US",
        permissions: int | None = None,
    ) -> Interaction:
        """Press a button of a message, or choose `values` in its menu."""
        component = find_component(message.components, custom_id)
        content: Json = {"custom_id": custom_id, "component_type": component["type"]}
        if component["type"] != _BUTTON:
            content.update(self._chosen(message.channel, values))
        interaction = self._new(InteractionKind.COMPONENT, message.channel, member)
        interaction.original = message
        self._dispatch(
            interaction, content, locale=locale, permissions=permissions, message=message
        )
        return interaction

    def _chosen(self, channel: Channel, values: Sequence[str | User | Role | Channel]) -> Json:
        resolved: Json = {}
        for one in values:
            if not isinstance(one, str):
                resolve(self._platform.world, channel, one, resolved)
        chosen: Json = {"values": [one if isinstance(one, str) else str(one.id) for one in values]}
        # A menu of plain strings comes without `resolved`, and discord.py tells by that.
        return {**chosen, "resolved": resolved} if resolved else chosen

    def fill(
        self,
        opened: Interaction,
        fields: Mapping[str, str],
        *,
        locale: str = "en-US",
        permissions: int | None = None,
    ) -> Interaction:
        """Send the form that an interaction opened, with `fields` by custom id."""
        assert opened.form is not None
        components = [_filled(row, fields) for row in opened.form["components"]]
        content = {"custom_id": opened.form["custom_id"], "components": components}
        interaction = self._new(InteractionKind.FORM, opened.channel, opened.user)
        interaction.original = opened.original
        self._dispatch(
            interaction,
            content,
            locale=locale,
            permissions=permissions,
            message=opened.original,
        )
        return interaction

    def _new(
        self,
        kind: InteractionKind,
        channel: Channel,
        user: User,
        *,
        is_menu: bool = False,
    ) -> Interaction:
        platform = self._platform
        interaction = Interaction(
            platform.world.ids.next(),
            kind,
            user,
            channel,
            platform.clock.now(),
            is_menu,
            platform.watch,
        )
        self._callbacks.add(interaction)
        return interaction

    def _dispatch(
        self,
        interaction: Interaction,
        content: Json,
        *,
        locale: str,
        permissions: int | None = None,
        message: Message | None = None,
    ) -> None:
        payload = interaction_payload(
            self._platform.world, interaction, content, locale=locale, permissions=permissions
        )
        if message is not None:
            payload["message"] = self._platform.shown(message)
        guild = interaction.channel.guild
        self._platform.hub.dispatch(
            "INTERACTION_CREATE", payload, guild_id=None if guild is None else guild.id
        )


def find_component(components: Sequence[Json], custom_id: str) -> Json:
    """The component with a custom id, however deep; LookupError where there is none."""
    for one in components:
        if one.get("custom_id") == custom_id:
            return one
        inner = [*one.get("components", []), *([one["accessory"]] if "accessory" in one else [])]
        try:
            return find_component(inner, custom_id)
        except LookupError:
            continue
    raise LookupError(f"no component {custom_id!r}")


def _filled(row: Json, fields: Mapping[str, str]) -> Json:
    if "component" in row:
        return {"type": row["type"], "component": _filled(row["component"], fields)}
    if "components" in row:
        inner = [_filled(one, fields) for one in row["components"]]
        return {"type": row["type"], "components": inner}
    value = fields.get(row.get("custom_id", ""), row.get("value", ""))
    return {"type": row["type"], "custom_id": row.get("custom_id"), "value": value}
