"""The routes of channels: messages, replies, typing, reactions, threads."""

from collections.abc import Sequence

from tests.discord_server.access import (
    require,
    require_open,
    require_sending,
    visible_channel,
    visible_message,
)
from tests.discord_server.drafts import Draft, apply_edit, read_draft
from tests.discord_server.errors import (
    NOT_YOUR_MESSAGE,
    REPLY_TO_NOTHING,
    REPLY_TO_SYSTEM,
    REPLY_WITHOUT_HISTORY,
    THREAD_EXISTS,
    RefusedError,
)
from tests.discord_server.events import announce_thread, erase, update_thread
from tests.discord_server.exchange import NO_CONTENT, Answer, Call
from tests.discord_server.mentions import pings
from tests.discord_server.payloads import channel_payload, thread_payload
from tests.discord_server.permissions import Permission, permissions_in
from tests.discord_server.platform import Platform
from tests.discord_server.routes import Route
from tests.discord_server.state import Channel, ChannelType, Message, MessageType, Reference

_REPLIED_TO = frozenset(
    {
        MessageType.DEFAULT,
        MessageType.REPLY,
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    }
)


class MessageRoutes:
    """What a bot may ask of a channel."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._world = platform.world

    def routes(self) -> Sequence[Route]:
        """Method, path and function of each."""
        one = "/channels/{channel_id}"
        message = one + "/messages/{message_id}"
        reaction = message + "/reactions/{emoji_name}/@me"
        return [
            Route("GET", one, self.channel),
            Route("GET", one + "/messages", self.history),
            Route("POST", one + "/messages", self.create),
            Route("POST", one + "/messages/bulk-delete", self.delete_many),
            Route("GET", message, self.fetch),
            Route("PATCH", message, self.edit),
            Route("DELETE", message, self.delete),
            Route("POST", message + "/threads", self.create_thread),
            Route("POST", one + "/typing", self.type),
            Route("PUT", reaction, self.react),
            Route("DELETE", reaction, self.take_reaction_back),
        ]

    def channel(self, call: Call) -> Answer:
        """GET a channel."""
        channel = visible_channel(self._world, call.id("channel_id"))
        return Answer(channel_payload(channel, self._world.bot))

    def history(self, call: Call) -> Answer:
        """GET messages, newest first: `before`, `after` or `around`, at most `limit`."""
        channel = visible_channel(self._world, call.id("channel_id"))
        if Permission.READ_MESSAGE_HISTORY not in permissions_in(channel, self._world.bot):
            return Answer([])
        limit = int(call.query.get("limit", "50"))
        ids = sorted(one.id for one in channel.messages.values() if not one.ephemeral)
        if "before" in call.query:
            chosen = [one for one in ids if one < int(call.query["before"])][-limit:]
        elif "after" in call.query:
            chosen = [one for one in ids if one > int(call.query["after"])][:limit]
        elif "around" in call.query:
            centre = int(call.query["around"])
            chosen = sorted(sorted(ids, key=lambda one: abs(one - centre))[:limit])
        else:
            chosen = ids[-limit:]
        return Answer([self._platform.shown(channel.messages[one]) for one in reversed(chosen)])

    def create(self, call: Call) -> Answer:
        """POST a message; a nonce seen in the past few minutes returns the message it made."""
        channel = visible_channel(self._world, call.id("channel_id"))
        require_sending(self._world, channel)
        draft = read_draft(self._platform, channel, call.fields, call.uploads)
        if draft.attachments:
            require(self._world, channel, Permission.ATTACH_FILES)
        nonce = call.fields.get("nonce")
        enforced = bool(call.fields.get("enforce_nonce")) and nonce is not None
        known = self._platform.by_nonce(str(nonce)) if enforced else None
        if known is not None:
            return Answer(self._platform.shown(known))
        message = self._made(channel, draft, self._reference(channel, call))
        if nonce is not None:
            message.nonce = str(nonce)
        if enforced:
            self._platform.remember_nonce(str(nonce), message)
        if channel.archived:
            update_thread(self._platform, channel, archived=False, locked=channel.locked)
        self._platform.post(message)
        return Answer(self._platform.shown(message))

    def _made(self, channel: Channel, draft: Draft, reference: Reference | None) -> Message:
        original = None if reference is None else channel.messages[reference.message_id]
        return Message(
            id=self._world.ids.next(),
            channel=channel,
            author=self._world.bot,
            content=draft.content,
            created_at=self._world.clock.moment(),
            type=MessageType.DEFAULT if reference is None else MessageType.REPLY,
            reference=reference,
            pinged=pings(
                draft.content,
                draft.allowed_mentions,
                replied_to=None if original is None else original.author.id,
            ),
            allowed_mentions=draft.allowed_mentions,
            attachments=draft.attachments,
            embeds=draft.embeds,
            components=draft.components,
            flags=draft.flags,
        )

    def _reference(self, channel: Channel, call: Call) -> Reference | None:
        asked = call.fields.get("message_reference")
        if asked is None:
            return None
        if Permission.READ_MESSAGE_HISTORY not in permissions_in(channel, self._world.bot):
            raise RefusedError(REPLY_WITHOUT_HISTORY)
        original = channel.messages.get(int(asked["message_id"]))
        if original is None or original.ephemeral:
            if asked.get("fail_if_not_exists", True):
                raise RefusedError(REPLY_TO_NOTHING)
            return None
        if original.type not in _REPLIED_TO:
            raise RefusedError(REPLY_TO_SYSTEM)
        return Reference(channel.id, original.id)

    def fetch(self, call: Call) -> Answer:
        """GET one message."""
        return Answer(self._platform.shown(self._message(call)))

    def _message(self, call: Call) -> Message:
        return visible_message(self._world, call.id("channel_id"), call.id("message_id"))

    def edit(self, call: Call) -> Answer:
        """PATCH an own message."""
        message = self._message(call)
        if message.author is not self._world.bot:
            raise RefusedError(NOT_YOUR_MESSAGE)
        require_open(message.channel)
        apply_edit(self._platform, message, call.fields, call.uploads)
        self._platform.announce(message, "MESSAGE_UPDATE")
        return Answer(self._platform.shown(message))

    def delete(self, call: Call) -> Answer:
        """DELETE a message: an own one, or any with MANAGE_MESSAGES."""
        message = self._message(call)
        if message.author is not self._world.bot:
            require(self._world, message.channel, Permission.MANAGE_MESSAGES)
        require_open(message.channel)
        erase(self._platform, [message])
        return NO_CONTENT

    def delete_many(self, call: Call) -> Answer:
        """POST bulk-delete."""
        channel = visible_channel(self._world, call.id("channel_id"))
        require(self._world, channel, Permission.MANAGE_MESSAGES)
        ids = [int(one) for one in call.fields["messages"]]
        erase(self._platform, [channel.messages[one] for one in ids if one in channel.messages])
        return NO_CONTENT

    def type(self, call: Call) -> Answer:
        """POST typing."""
        channel = visible_channel(self._world, call.id("channel_id"))
        require_sending(self._world, channel)
        require_open(channel)
        return NO_CONTENT

    def react(self, call: Call) -> Answer:
        """PUT an own reaction."""
        message = self._message(call)
        require(self._world, message.channel, Permission.ADD_REACTIONS)
        require_open(message.channel)
        emoji = call.variables["emoji_name"]
        message.reactions.setdefault(emoji, set()).add(self._world.bot.id)
        return NO_CONTENT

    def take_reaction_back(self, call: Call) -> Answer:
        """DELETE an own reaction."""
        reactions = self._message(call).reactions
        reactions.get(call.variables["emoji_name"], set()).discard(self._world.bot.id)
        return NO_CONTENT

    def create_thread(self, call: Call) -> Answer:
        """POST a thread that starts at a message; it takes the message's id."""
        message = self._message(call)
        require(self._world, message.channel, Permission.CREATE_PUBLIC_THREADS)
        if message.id in self._world.channels:
            raise RefusedError(THREAD_EXISTS)
        assert message.channel.guild is not None
        thread = self._world.add_channel(
            message.channel.guild,
            call.fields["name"],
            ChannelType.PUBLIC_THREAD,
            parent=message.channel,
            owner=self._world.bot,
            channel_id=message.id,
        )
        announce_thread(self._platform, thread)
        return Answer(thread_payload(thread), 201)
