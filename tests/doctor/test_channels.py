"""What the bot may do in the channels that the doctor is asked about."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.discord_server.permissions import TALKING, Permission
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, ChannelType, Guild
from tests.doctor.patient import Patient


async def test_a_channel_where_all_is_allowed(patient: Patient, general: Channel) -> None:
    found = await patient.examine(general.id)
    found.the("ok", "#general in Home: the bot may do everything it has to there.")
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("denied", "name"),
    [
        (Permission.SEND_MESSAGES, "lacks Send Messages;"),
        (Permission.READ_MESSAGE_HISTORY, "lacks Read Message History;"),
        (
            Permission.READ_MESSAGE_HISTORY | Permission.SEND_MESSAGES,
            "lacks Send Messages, Read Message History;",
        ),
    ],
)
async def test_what_is_missing_is_named(
    patient: Patient, server: DiscordServer, general: Channel, denied: Permission, name: str
) -> None:
    server.set_permissions(general, deny=denied)
    found = await patient.examine(general.id)
    line = found.the("fault", name)
    assert "#general in Home" in line
    assert "in the channel's settings, under Permissions" in line
    assert found.exit_code == 69


async def test_what_a_role_lacks_everywhere_is_named_too(
    patient: Patient, guild: Guild, general: Channel
) -> None:
    guild.everyone.permissions = TALKING & ~Permission.SEND_MESSAGES
    found = await patient.examine(general.id)
    found.the("fault", "lacks Send Messages;")


async def test_a_role_above_the_overwrites_may_do_everything(
    patient: Patient, server: DiscordServer, guild: Guild, general: Channel
) -> None:
    server.set_permissions(general, deny=Permission.SEND_MESSAGES)
    admin = server.add_role(guild, "admin", Permission.ADMINISTRATOR)
    server.change_member(guild, server.bot, roles=[admin])
    assert (await patient.examine(general.id)).exit_code == 0


async def test_threads_that_the_bot_cannot_answer_in_are_a_warning(
    patient: Patient, server: DiscordServer, general: Channel
) -> None:
    server.set_permissions(general, deny=Permission.SEND_MESSAGES_IN_THREADS)
    found = await patient.examine(general.id)
    found.the("warning", "cannot answer in threads")
    assert found.exit_code == 0


async def test_a_thread_has_the_permissions_of_its_channel(
    patient: Patient, server: DiscordServer, general: Channel
) -> None:
    thread = server.create_thread(general, "talk", server.add_user("ada"))
    server.set_permissions(general, deny=Permission.SEND_MESSAGES)
    (await patient.examine(thread.id)).the("ok", "#talk in Home")
    server.set_permissions(general, deny=Permission.SEND_MESSAGES_IN_THREADS)
    (await patient.examine(thread.id)).the("fault", "lacks Send Messages in Threads")


async def test_a_locked_thread_is_told(
    patient: Patient, server: DiscordServer, general: Channel
) -> None:
    thread = server.create_thread(general, "talk", server.add_user("ada"))
    server.set_thread(thread, locked=True)
    (await patient.examine(thread.id)).the("fault", "the thread is locked")


async def test_a_channel_that_is_hidden_or_gone_is_told(
    patient: Patient, server: DiscordServer, general: Channel
) -> None:
    server.set_permissions(general, deny=Permission.VIEW_CHANNEL)
    found = await patient.examine(general.id, 404)
    found.the("fault", f"The bot cannot see the channel {general.id}: invite it to that server")
    found.the("fault", "Discord knows no channel 404: copy its link again")
    assert found.exit_code == 69


async def test_a_category_is_no_channel_and_a_forum_needs_threads(
    patient: Patient, server: DiscordServer, guild: Guild
) -> None:
    category = server.add_channel(guild, "all", ChannelType.CATEGORY)
    forum = server.add_channel(guild, "ideas", ChannelType.FORUM)
    server.set_permissions(forum, deny=Permission.SEND_MESSAGES)
    found = await patient.examine(category.id, forum.id)
    found.the("fault", f"{category.id} is a category")
    found.the("ok", "#ideas in Home")


async def test_a_direct_message_needs_no_permission(
    patient: Patient, server: DiscordServer
) -> None:
    direct = server.direct_channel(server.add_user("ada"))
    (await patient.examine(direct.id)).the("ok", "needs no permission")


async def test_a_bot_in_time_out_is_told(
    patient: Patient, server: DiscordServer, guild: Guild, general: Channel
) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    server.change_member(guild, server.bot, timed_out_until=until)
    (await patient.examine(general.id)).the("fault", "the bot is timed out in this server")


async def test_a_channel_that_the_settings_close_is_told(
    patient: Patient, server: DiscordServer, guild: Guild, general: Channel
) -> None:
    other = server.add_channel(guild, "other")
    found = await patient.examine(general.id, BLOCKED_CHANNEL_IDS=str(general.id))
    found.the("warning", "BLOCKED_CHANNEL_IDS has its id; take it out")
    found = await patient.examine(general.id, ALLOWED_CHANNEL_IDS=str(other.id))
    found.the("warning", "ALLOWED_CHANNEL_IDS lacks its id; add it")
    found.the("ok", "#other in Home")


async def test_the_channels_of_the_settings_stop_nobody(patient: Patient, general: Channel) -> None:
    found = await patient.examine(ALLOWED_CHANNEL_IDS=f"{general.id},404")
    found.the("ok", "#general in Home")
    found.the("warning", "Discord knows no channel 404")
    assert found.exit_code == 0


async def test_each_server_is_asked_for_once(
    patient: Patient, server: DiscordServer, guild: Guild
) -> None:
    channels = [server.add_channel(guild, f"c{number}") for number in range(5)]
    await patient.examine(*(one.id for one in channels))
    assert len(server.requests_to("GET", f"/guilds/{guild.id}")) == 1
