"""Everything that exists on this Discord, and how it comes into being."""

from collections.abc import Sequence

from tests.discord_server.clock import Clock, Snowflakes
from tests.discord_server.permissions import TALKING, Permission
from tests.discord_server.state import (
    THREADS,
    Channel,
    ChannelType,
    Guild,
    Json,
    Member,
    Message,
    Overwrite,
    Role,
    User,
)

BOT_NAME = "banter"


class World:
    """Users, guilds and channels by id; the bot is one of the users."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ids = Snowflakes(clock)
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.commands: dict[int | None, list[Json]] = {}
        self.bot = self.add_user(BOT_NAME, bot=True)
        self.owner = self.add_user("operator")

    @property
    def application_id(self) -> int:
        """The bot's application; like most real ones it shares the bot's id."""
        return self.bot.id

    def add_user(self, name: str, *, bot: bool = False) -> User:
        """An account."""
        user = User(self.ids.next(), name, bot)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, *, owner: User | None = None, locale: str = "en-US") -> Guild:
        """A guild with the bot in it, where everyone may talk."""
        owner = owner or self.owner
        guild = Guild(self.ids.next(), name, owner, locale, self.clock.moment())
        guild.roles[guild.id] = Role(guild.id, "@everyone", TALKING, 0)
        self.guilds[guild.id] = guild
        self.add_member(guild, owner)
        role = self.add_role(guild, self.bot.name, Permission.NONE)
        self.add_member(guild, self.bot, roles=[role])
        return guild

    def add_role(self, guild: Guild, name: str, permissions: Permission) -> Role:
        """A role above all others so far."""
        role = Role(self.ids.next(), name, permissions, len(guild.roles))
        guild.roles[role.id] = role
        return role

    def add_member(self, guild: Guild, user: User, *, roles: Sequence[Role] = ()) -> Member:
        """Let a user join a guild."""
        member = Member(user, list(roles), self.clock.moment())
        guild.members[user.id] = member
        return member

    def add_channel(
        self,
        guild: Guild,
        name: str,
        kind: ChannelType = ChannelType.TEXT,
        *,
        parent: Channel | None = None,
        owner: User | None = None,
        channel_id: int | None = None,
    ) -> Channel:
        """A channel or thread of a guild; `parent` is its category, or a thread's channel."""
        channel = Channel(channel_id or self.ids.next(), kind, name, guild, parent)
        if kind in THREADS:
            channel.owner_id = (owner or guild.owner).id
        guild.channels[channel.id] = self.channels[channel.id] = channel
        return channel

    def direct_channel(self, user: User) -> Channel:
        """The DM between the bot and a user, opened when first asked for."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.ids.next(), ChannelType.DM, user.name, recipient=user)
        self.channels[channel.id] = channel
        return channel

    def overwrite(
        self,
        channel: Channel,
        target: Role | User,
        *,
        allow: Permission = Permission.NONE,
        deny: Permission = Permission.NONE,
    ) -> None:
        """Set a channel's overwrite for a role or a member."""
        kind = 0 if isinstance(target, Role) else 1
        channel.overwrites[target.id] = Overwrite(kind, allow, deny)

    def message(self, message_id: int) -> Message:
        """A message wherever it stands; KeyError where it does not."""
        for channel in self.channels.values():
            if message_id in channel.messages:
                return channel.messages[message_id]
        raise KeyError(message_id)

    def remove_channel(self, channel: Channel) -> None:
        """Delete a channel with its threads."""
        for thread in [one for one in self.channels.values() if one.parent is channel]:
            if thread.is_thread:
                self.remove_channel(thread)
        del self.channels[channel.id]
        if channel.guild is not None:
            del channel.guild.channels[channel.id]
