"""Interactions: a command used, a button pressed, a form sent; and what the bot answered."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from tests.discord_server.payloads import (
    channel_payload,
    full_member_payload,
    user_payload,
)
from tests.discord_server.permissions import permissions_in
from tests.discord_server.state import Channel, Json, Message, User
from tests.discord_server.waiting import Watch
from tests.discord_server.world import World

T = TypeVar("T")

ACKNOWLEDGE_WITHIN_SECONDS = 3.0
TOKEN_LASTS_SECONDS = 15 * 60.0
MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024


class InteractionKind(IntEnum):
    """Discord's numbers for what a member did."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    FORM = 5


class CallbackKind(IntEnum):
    """Discord's numbers for how a bot acknowledges."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    FORM = 9


@dataclass(slots=True, eq=False)
class Interaction:
    """One interaction and its answers; `original` is the message that `@original` names."""

    id: int
    kind: InteractionKind
    user: User
    channel: Channel
    at: float
    is_menu: bool
    watch: Watch
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    callback: CallbackKind | None = None
    was_late: bool = False
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    form: Json | None = None
    choices: list[Json] | None = None

    async def acknowledged(self, timeout: float = 10.0) -> CallbackKind:
        """How the bot acknowledged."""
        return await self._until(lambda: self.callback, timeout)

    async def answer(self, timeout: float = 10.0) -> Message:
        """The message the member sees, once it no longer says that the bot is thinking."""
        return await self._until(self._visible, timeout)

    async def shown_form(self, timeout: float = 10.0) -> Json:
        """The form (modal) that the bot opened."""
        return await self._until(lambda: self.form, timeout)

    async def shown_choices(self, timeout: float = 10.0) -> list[Json]:
        """The choices of an autocompletion."""
        return await self._until(lambda: self.choices, timeout)

    async def followed_up(self, number: int = 1, timeout: float = 10.0) -> list[Message]:
        """The follow-up messages, once there are `number`."""

        def enough() -> list[Message] | None:
            return self.followups if len(self.followups) >= number else None

        return await self._until(enough, timeout)

    def _visible(self) -> Message | None:
        if self.callback not in {
            CallbackKind.MESSAGE,
            CallbackKind.DEFERRED_MESSAGE,
            CallbackKind.UPDATE,
        }:
            return None
        if self.original is None or self.original.loading:
            return None
        return self.original

    async def _until(self, found: Callable[[], T | None], timeout: float) -> T:
        what = f"the answer to interaction {self.id} (acknowledged: {self.callback!r})"
        return await self.watch.until(found, timeout=timeout, what=what)


def interaction_payload(
    world: World,
    interaction: Interaction,
    content: Json,
    *,
    locale: str,
    permissions: int | None,
) -> Json:
    """INTERACTION_CREATE; `permissions` replaces the member's own, as a forged request would."""
    channel, user, guild = interaction.channel, interaction.user, interaction.channel.guild
    allowed = permissions_in(channel, user) if permissions is None else permissions
    payload: Json = {
        "id": str(interaction.id),
        "application_id": str(world.application_id),
        "type": int(interaction.kind),
        "token": interaction.token,
        "version": 1,
        "data": content,
        "channel_id": str(channel.id),
        "channel": {**channel_payload(channel, world.bot), "permissions": str(int(allowed))},
        "app_permissions": str(int(permissions_in(channel, world.bot))),
        "locale": locale,
        "entitlements": [],
        "attachment_size_limit": MAX_ATTACHMENT_BYTES,
        "context": 1 if guild is None else 0,
        "authorizing_integration_owners": {"0": "0" if guild is None else str(guild.id)},
    }
    if guild is None:
        return {**payload, "user": user_payload(user)}
    return {
        **payload,
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
        "guild_locale": guild.locale,
        "member": {**full_member_payload(guild.members[user.id]), "permissions": str(int(allowed))},
    }
