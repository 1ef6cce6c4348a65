"""Commands, buttons and forms, answered by a real command tree."""

import asyncio

import discord
import pytest
from discord import app_commands

from tests.discord_server.bare_client import BareClient
from tests.discord_server.example_commands import Gate, add_commands, add_rich_commands
from tests.discord_server.interactions import CallbackKind
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, Guild, MessageType, User


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def bot(client: BareClient, gate: Gate) -> BareClient:
    """The client with a few commands, registered."""
    add_commands(client.tree, gate)
    add_rich_commands(client.tree)
    await client.tree.sync()
    return client


async def original_error(gate: Gate) -> discord.HTTPException:
    error = await asyncio.wait_for(gate.error, 5)
    assert isinstance(error, app_commands.CommandInvokeError)
    assert isinstance(error.original, discord.HTTPException)
    return error.original


async def test_command_gets_its_options_resolved(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    used = server.interact(
        "greet",
        {"whom": ada, "times": 2, "where": general},
        channel=general,
        member=ada,
        locale="ko",
        permissions=32,
    )
    answer = await used.answer()
    assert answer.content == "ada 2 general ko 32"
    assert answer.ephemeral
    assert answer.type is MessageType.CHAT_INPUT_COMMAND
    assert used.callback is CallbackKind.MESSAGE


async def test_forged_value_reaches_the_bot(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    used = server.interact("greet", {"whom": ada, "times": 99}, channel=general, member=ada)
    assert "ada 99" in (await used.answer()).content


async def test_deferred_answer_is_edited_in_and_followed_up(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User, gate: Gate
) -> None:
    used = server.interact("think", channel=general, member=ada)
    assert await used.acknowledged() is CallbackKind.DEFERRED_MESSAGE
    assert used.original is not None
    assert used.original.loading
    gate.open.set()
    answer = await used.answer()
    assert (answer.content, answer.ephemeral) == ("thought", True)
    assert [(one.filename, one.content) for one in answer.attachments] == [("export.json", b"{}")]
    (more,) = await used.followed_up()
    assert more.content == "and more"
    assert not more.ephemeral


async def test_answer_after_three_seconds_finds_no_interaction(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User, gate: Gate
) -> None:
    used = server.interact("late", channel=general, member=ada)
    await gate.reached.wait()
    server.clock.advance(3.1)
    gate.open.set()
    error = await original_error(gate)
    assert (error.status, error.code) == (404, 10062)
    assert used.was_late
    assert used.callback is None


async def test_edit_after_fifteen_minutes_finds_no_token(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User, gate: Gate
) -> None:
    used = server.interact("think", channel=general, member=ada)
    await used.acknowledged()
    server.clock.advance(16 * 60)
    gate.open.set()
    error = await original_error(gate)
    assert (error.status, error.code) == (401, 50027)


async def test_second_acknowledgement_is_refused(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User, gate: Gate
) -> None:
    used = server.interact("twice", channel=general, member=ada)
    assert (await original_error(gate)).code == 40060
    assert (await used.answer()).content == "once"


async def test_ephemeral_message_cannot_be_fetched_like_others(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    used = server.interact("greet", {"whom": ada}, channel=general, member=ada)
    answer = await used.answer()
    channel = bot.get_partial_messageable(general.id)
    with pytest.raises(discord.NotFound):
        await channel.fetch_message(answer.id)


async def test_buttons_menus_and_forms_work(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    panel = await server.interact("panel", channel=general, member=ada).answer()
    pressed = server.press(panel, "change", member=ada)
    assert (await pressed.answer()).content == "changed"
    assert pressed.original is panel
    picked = server.press(panel, "pick", member=ada, values=["warm"])
    assert (await picked.answer()).content == "warm"
    placed = server.press(panel, "where", member=ada, values=[general])
    assert (await placed.answer()).content == "general"
    asked = server.press(panel, "ask", member=ada)
    assert (await asked.shown_form())["custom_id"] == "form"
    filled = server.fill(asked, {"name": "Ada"})
    assert (await filled.answer()).content == "hello Ada"
    with pytest.raises(LookupError, match="nothing"):
        server.press(panel, "nothing", member=ada)


async def test_menu_command_sees_its_message(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    message = server.world.message(server.say(general, ada, "unreadable otherwise"))
    used = server.interact("Why this?", channel=general, member=ada, target=message)
    answer = await used.answer()
    assert answer.content == "because: unreadable otherwise"
    assert answer.type is MessageType.CONTEXT_MENU_COMMAND


async def test_subcommands_and_completions_work(
    server: DiscordServer, bot: BareClient, general: Channel, ada: User
) -> None:
    used = server.interact("mydata export", {"kind": "turns"}, channel=general, member=ada)
    assert (await used.answer()).content == "exported turns"
    typed = server.complete(
        "mydata export", {"kind": "a"}, focused="kind", channel=general, member=ada
    )
    assert await typed.shown_choices() == [{"name": "all", "value": "all"}]


async def test_commands_are_offered_in_direct_messages_unless_they_say_otherwise(
    server: DiscordServer, bot: BareClient, ada: User, gate: Gate
) -> None:
    direct = server.direct_channel(ada)
    gate.open.set()
    used = server.interact("think", channel=direct, member=ada)
    assert (await used.answer()).content == "thought"
    with pytest.raises(LookupError, match="not offer"):
        server.interact("serverwide", channel=direct, member=ada)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("nothing", {}, "no command"),
        ("greet", {}, "missing: whom"),
        ("greet", {"who": 1}, "no such options: who"),
        ("mydata", {}, "without a subcommand"),
        ("mydata destroy", {}, "no subcommand"),
        ("Why this?", {}, "needs a target"),
    ],
)
async def test_what_discord_does_not_offer_cannot_be_used(
    server: DiscordServer,
    bot: BareClient,
    general: Channel,
    ada: User,
    name: str,
    options: dict[str, object],
    complaint: str,
) -> None:
    with pytest.raises(LookupError, match=complaint):
        server.interact(name, options, channel=general, member=ada)


async def test_synced_commands_keep_their_ids(
    server: DiscordServer, bot: BareClient, guild: Guild
) -> None:
    first = {one.name: one.id for one in await bot.tree.fetch_commands()}
    await bot.tree.sync()
    assert {one.name: one.id for one in await bot.tree.fetch_commands()} == first
    bot.tree.copy_global_to(guild=discord.Object(guild.id))
    of_guild = await bot.tree.sync(guild=discord.Object(guild.id))
    assert {one.name for one in of_guild} == set(first)
    assert len(server.requests_to("PUT", "/applications/*/commands")) == 3
