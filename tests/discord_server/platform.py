"""What the routes, the gateway and the members of a test share."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from tests.discord_server.clock import Clock
from tests.discord_server.intents import Intent
from tests.discord_server.payloads import (
    Viewer,
    member_payload,
    message_payload,
    user_payload,
)
from tests.discord_server.permissions import Permission, permissions_in
from tests.discord_server.sessions import Hub
from tests.discord_server.state import Attachment, Channel, Json, Message
from tests.discord_server.waiting import Watch
from tests.discord_server.world import World

NONCE_SECONDS = 180.0


def token_of(bot_id: int) -> str:
    """A token that opens nothing, shaped like a real one so that whoever redacts them finds it."""
    owner = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    return ".".join([owner, "Gloopb", "ack-only" * 5])


@dataclass(frozen=True, slots=True)
class _Remembered:
    message: Message
    at: float


class Platform:
    """The state, the door to the gateway, and what Discord remembers of nonces."""

    def __init__(self) -> None:
        self.portal_intents = Intent.NONE
        self.portal_fields: Json = {}
        self.base_url = ""
        self.clock = Clock()
        self.world = World(self.clock)
        self.token = token_of(self.world.bot.id)
        self.watch = Watch()
        self.hub = Hub(self.watch.changed)
        self.violations: list[str] = []
        self.sent: list[Message] = []
        self.attachments: dict[int, Attachment] = {}
        self._nonces: dict[str, _Remembered] = {}

    def viewer(self, intents: Intent) -> Viewer:
        """The bot, reading with these intents."""
        return Viewer(self.world.bot, Intent.MESSAGE_CONTENT in intents)

    def shown(self, message: Message) -> Json:
        """A message as REST shows it to the bot: by what is enabled in the portal."""
        return message_payload(message, self.viewer(self.portal_intents), self.world.users)

    def post(self, message: Message) -> None:
        """Put a message into its channel and announce it; an ephemeral one only exists."""
        message.channel.messages[message.id] = message
        if message.author is self.world.bot and message.webhook_id is None:
            self.sent.append(message)
        if not message.ephemeral:
            self.announce(message, "MESSAGE_CREATE")
        self.watch.changed()

    def announce(self, message: Message, event: str) -> None:
        """Dispatch MESSAGE_CREATE or MESSAGE_UPDATE to those who see the channel."""
        if not self.sees(message.channel):
            return

        def payload(intents: Intent) -> Json:
            shown = message_payload(message, self.viewer(intents), self.world.users)
            return {**shown, **self._place(message)}

        self.dispatch_in(message.channel, event, payload)

    def dispatch_in(
        self, channel: Channel, event: str, payload: Json | Callable[[Intent], Json]
    ) -> None:
        """Dispatch a message event with the intent that its channel needs."""
        guild_id = None if channel.guild is None else channel.guild.id
        needs = Intent.DIRECT_MESSAGES if channel.guild is None else Intent.GUILD_MESSAGES
        self.hub.dispatch(event, payload, needs=needs, guild_id=guild_id)

    def sees(self, channel: Channel) -> bool:
        """Whether the bot is told of what happens in a channel."""
        if channel.guild is not None and channel.guild.left:
            return False
        return Permission.VIEW_CHANNEL in permissions_in(channel, self.world.bot)

    def _place(self, message: Message) -> Json:
        guild = message.channel.guild
        if guild is None:
            return {"channel_type": int(message.channel.type)}
        place: Json = {"guild_id": str(guild.id), "channel_type": int(message.channel.type)}
        if message.webhook_id is None and message.author.id in guild.members:
            place["member"] = member_payload(guild.members[message.author.id])
        mentioned = [guild.members.get(user_id) for user_id in sorted(message.pinged.users)]
        place["mentions"] = [
            {**user_payload(member.user), "member": member_payload(member)}
            for member in mentioned
            if member is not None
        ]
        return place

    def remember_nonce(self, nonce: str, message: Message) -> None:
        """Let a later request with this nonce find the message."""
        self._nonces[nonce] = _Remembered(message, self.clock.now())

    def by_nonce(self, nonce: str) -> Message | None:
        """The message that was made with a nonce in the past few minutes."""
        remembered = self._nonces.get(nonce)
        if remembered is None or remembered.message.deleted:
            return None
        if self.clock.now() - remembered.at > NONCE_SECONDS:
            return None
        return remembered.message

    def forget_nonces(self) -> None:
        """As if a few minutes had passed."""
        self._nonces.clear()
