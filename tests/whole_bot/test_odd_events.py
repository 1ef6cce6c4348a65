"""Events that discord.py cannot read reach the real process, and the next message is answered."""

from tests.discord_server.payloads import guild_payload
from tests.discord_server.state import Json
from tests.whole_bot.home import Home

QUICK = {"MAX_NEW_TOKENS": "8"}


async def test_the_bot_lives_through_events_that_cannot_be_read(home: Home) -> None:
    guild_id, channel_id = str(home.guild.id), str(home.general.id)
    place = {"channel_id": channel_id, "guild_id": guild_id}
    guild = guild_payload(home.guild, home.server.bot)
    odd: list[tuple[str, Json]] = [
        ("MESSAGE_UPDATE", {**place, "id": "7", "embeds": []}),
        ("MESSAGE_CREATE", {**place, "id": "8", "content": "private words"}),
        ("MESSAGE_DELETE", {"guild_id": guild_id}),
        ("MESSAGE_DELETE_BULK", place),
        ("CHANNEL_CREATE", {"id": "9", "guild_id": guild_id}),
        ("CHANNEL_DELETE", {"guild_id": guild_id}),
        ("CHANNEL_UPDATE", {"id": "x", "guild_id": guild_id, "type": 0}),
        ("THREAD_CREATE", {"id": "9", "guild_id": guild_id}),
        ("THREAD_LIST_SYNC", {"guild_id": guild_id, "threads": [{"id": "9"}]}),
        ("GUILD_CREATE", {**guild, "roles": [{"id": guild_id}]}),
        ("GUILD_UPDATE", {"name": "private words"}),
        ("GUILD_DELETE", {}),
        ("GUILD_ROLE_UPDATE", {"guild_id": guild_id}),
        ("INTERACTION_CREATE", {**place, "id": "10", "type": 2, "token": "private words"}),
        ("INTERACTION_CREATE", {"type": 3}),
        ("TYPING_START", {}),
    ]
    async with await home.start(QUICK) as bot:
        await home.talk("hello")
        for name, payload in odd:
            home.server.platform.hub.dispatch(name, payload)
        await home.talk("hello again")
        assert (await bot.terminate()).exit_code == 0
    assert bot.stderr.count("An event of Discord could not be read") >= 10
    assert "private words" not in bot.stderr
