"""What the members of a test do: talk, edit, delete, open threads, throw the bot out."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tests.discord_server.drafts import store_uploads
from tests.discord_server.events import (
    announce_channel,
    announce_guild,
    announce_member,
    announce_role,
    announce_thread,
    erase,
    leave,
    lose,
    remove_channel,
    update_thread,
)
from tests.discord_server.exchange import Upload
from tests.discord_server.mentions import pings
from tests.discord_server.permissions import Permission
from tests.discord_server.platform import Platform
from tests.discord_server.state import (
    Channel,
    ChannelType,
    Guild,
    Json,
    Member,
    Message,
    MessageType,
    Reference,
    Role,
    User,
)


class MemberVerbs:
    """The verbs of a test; each changes the world and dispatches what Discord would."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.world = platform.world

    def add_user(self, name: str, *, bot: bool = False) -> User:
        """An account that is in no guild yet."""
        return self.world.add_user(name, bot=bot)

    def add_guild(self, name: str = "Home", *, locale: str = "en-US") -> Guild:
        """A guild with the bot in it."""
        guild = self.world.add_guild(name, locale=locale)
        announce_guild(self.platform, guild)
        return guild

    def add_member(
        self, guild: Guild, name: str, *, roles: Sequence[Role] = (), bot: bool = False
    ) -> User:
        """A new account that joins a guild."""
        user = self.world.add_user(name, bot=bot)
        self.join(guild, user, roles=roles)
        return user

    def join(self, guild: Guild, user: User, *, roles: Sequence[Role] = ()) -> Member:
        """Let an account join a guild."""
        return self.world.add_member(guild, user, roles=roles)

    def add_role(self, guild: Guild, name: str, permissions: Permission = Permission.NONE) -> Role:
        """A role that nobody has yet."""
        role = self.world.add_role(guild, name, permissions)
        announce_role(self.platform, guild, role)
        return role

    def change_member(
        self,
        guild: Guild,
        user: User,
        *,
        roles: Sequence[Role] = (),
        timed_out_until: datetime | None = None,
    ) -> None:
        """Give a member these roles and no others; let it be silent until a moment."""
        member = guild.members[user.id]
        member.roles, member.timed_out_until = list(roles), timed_out_until
        announce_member(self.platform, guild, member)

    def add_channel(
        self,
        guild: Guild,
        name: str = "general",
        kind: ChannelType = ChannelType.TEXT,
        *,
        parent: Channel | None = None,
    ) -> Channel:
        """A channel that is no thread."""
        channel = self.world.add_channel(guild, name, kind, parent=parent)
        announce_channel(self.platform, channel, "CHANNEL_CREATE")
        return channel

    def direct_channel(self, user: User) -> Channel:
        """The DM between a user and the bot."""
        return self.world.direct_channel(user)

    def set_permissions(
        self,
        channel: Channel,
        target: Role | User | None = None,
        *,
        allow: Permission = Permission.NONE,
        deny: Permission = Permission.NONE,
    ) -> None:
        """Overwrite permissions in a channel, by default the bot's own."""
        self.world.overwrite(channel, target or self.world.bot, allow=allow, deny=deny)
        announce_channel(self.platform, channel, "CHANNEL_UPDATE")

    def say(
        self,
        channel: Channel,
        author: User,
        text: str,
        *,
        mention_bot: bool = False,
        reply_to: int | None = None,
        reply_pings: bool = True,
        attachments: Mapping[str, bytes] | None = None,
        webhook_id: int | None = None,
        kind: MessageType | None = None,
        seconds_ago: float = 0.0,
    ) -> int:
        """A message, and its id; `reply_pings` is the switch beside a reply in the client."""
        content = f"<@{self.world.bot.id}> {text}" if mention_bot else text
        original = None if reply_to is None else channel.messages[reply_to]
        message = Message(
            id=self.world.ids.next(seconds_ago=seconds_ago),
            channel=channel,
            author=author,
            content=content,
            created_at=self.world.clock.moment(seconds_ago=seconds_ago),
            type=kind or (MessageType.DEFAULT if original is None else MessageType.REPLY),
            reference=None if original is None else Reference(channel.id, original.id),
            pinged=pings(
                content,
                None,
                replied_to=original.author.id if original is not None and reply_pings else None,
            ),
            webhook_id=webhook_id,
        )
        uploads = [
            Upload(name, content, "application/octet-stream")
            for name, content in (attachments or {}).items()
        ]
        message.attachments = store_uploads(self.platform, channel, uploads)
        self.platform.post(message)
        return message.id

    def edit(self, message_id: int, text: str) -> None:
        """Change a message's text, and with it whom it mentions."""
        message = self.world.message(message_id)
        message.content = text
        original = None
        if message.reference is not None:
            original = message.channel.messages.get(message.reference.message_id)
        keeps_ping = original is not None and original.author.id in message.pinged.users
        replied_to = original.author.id if original is not None and keeps_ping else None
        message.pinged = pings(text, None, replied_to=replied_to)
        message.edited_at = self.world.clock.moment()
        self.platform.announce(message, "MESSAGE_UPDATE")

    def unfurl(self, message_id: int, embed: Json) -> None:
        """Let Discord add a link's preview: an update without an edit."""
        message = self.world.message(message_id)
        message.embeds = [*message.embeds, embed]
        self.platform.announce(message, "MESSAGE_UPDATE")

    def delete(self, message_id: int) -> None:
        """Delete one message."""
        erase(self.platform, [self.world.message(message_id)])

    def bulk_delete(self, message_ids: Sequence[int]) -> None:
        """Delete several messages of one channel at once."""
        erase(self.platform, [self.world.message(one) for one in message_ids])

    def redeliver(self, message_id: int, *, times: int = 1) -> None:
        """Dispatch a message's MESSAGE_CREATE again."""
        for _ in range(times):
            self.platform.announce(self.world.message(message_id), "MESSAGE_CREATE")

    def create_thread(
        self,
        parent: Channel,
        name: str,
        owner: User,
        *,
        from_message: int | None = None,
        text: str | None = None,
        kind: ChannelType = ChannelType.PUBLIC_THREAD,
    ) -> Channel:
        """A thread; from a message it takes its id; in a forum `text` is its first message."""
        assert parent.guild is not None
        thread = self.world.add_channel(
            parent.guild, name, kind, parent=parent, owner=owner, channel_id=from_message
        )
        announce_thread(self.platform, thread)
        if text is not None:
            self._start(thread, owner, text)
        return thread

    def _start(self, thread: Channel, owner: User, text: str) -> None:
        starter = Message(
            id=thread.id,
            channel=thread,
            author=owner,
            content=text,
            created_at=self.world.clock.moment(),
            pinged=pings(text, None),
        )
        self.platform.post(starter)

    def set_thread(self, thread: Channel, *, archived: bool = False, locked: bool = False) -> None:
        """Archive, lock or open a thread."""
        update_thread(self.platform, thread, archived=archived, locked=locked)

    def delete_channel(self, channel: Channel) -> None:
        """Delete a channel or thread."""
        remove_channel(self.platform, channel)

    def lose_guild(self, guild: Guild) -> None:
        """An outage: the guild is unavailable, the bot has not left it."""
        lose(self.platform, guild)

    def recover_guild(self, guild: Guild) -> None:
        """The end of an outage."""
        announce_guild(self.platform, guild)

    def leave_guild(self, guild: Guild) -> None:
        """Throw the bot out."""
        leave(self.platform, guild)
