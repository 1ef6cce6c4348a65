"""A bare client that only listens, for what needs real messages and no bot."""

import discord


class Ears(discord.Client):
    """Keeps every message and edit that Discord reports."""

    def __init__(self, *, message_content: bool = False) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        intents.message_content = message_content
        super().__init__(
            intents=intents,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
        )
        self.heard: list[discord.Message] = []
        self.edits: list[discord.RawMessageUpdateEvent] = []

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.edits.append(event)

    @property
    def last(self) -> discord.Message:
        return self.heard[-1]

    @property
    def me(self) -> discord.ClientUser:
        assert self.user is not None
        return self.user

    @property
    def own_id(self) -> int:
        return self.me.id
