"""Example commands of a real command tree, to show that the server can be answered."""

import asyncio
import io

import discord
from discord import app_commands

from tests.discord_server.bare_client import BareClient


class Form(discord.ui.Modal, title="Your name"):
    name: discord.ui.TextInput["Form"] = discord.ui.TextInput(label="Name", custom_id="name")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"hello {self.name.value}", ephemeral=True)


class Panel(discord.ui.View):
    @discord.ui.button(label="Change", custom_id="change")
    async def change(self, interaction: discord.Interaction, _: discord.ui.Button["Panel"]) -> None:
        await interaction.response.edit_message(content="changed")

    @discord.ui.button(label="Ask", custom_id="ask")
    async def ask(self, interaction: discord.Interaction, _: discord.ui.Button["Panel"]) -> None:
        await interaction.response.send_modal(Form(custom_id="form"))

    @discord.ui.select(custom_id="pick", options=[discord.SelectOption(label="warm")])
    async def pick(
        self, interaction: discord.Interaction, select: discord.ui.Select["Panel"]
    ) -> None:
        await interaction.response.send_message(select.values[0])

    @discord.ui.select(cls=discord.ui.ChannelSelect, custom_id="where")
    async def where(
        self, interaction: discord.Interaction, select: discord.ui.ChannelSelect["Panel"]
    ) -> None:
        await interaction.response.send_message(select.values[0].name)


class Gate:
    """Where a slow command waits for the test, and what went wrong in it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()
        self.error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.open.wait()


def add_commands(tree: app_commands.CommandTree[BareClient], gate: Gate) -> None:
    """Commands that answer at once, late, and twice; what goes wrong ends up in the gate."""

    @tree.command(description="Greet")
    @app_commands.describe(whom="Whom", times="How often", where="Where")
    async def greet(
        interaction: discord.Interaction,
        whom: discord.Member,
        times: app_commands.Range[int, 1, 3] = 1,
        where: discord.TextChannel | None = None,
    ) -> None:
        text = f"{whom.name} {times} {where} {interaction.locale} {interaction.permissions.value}"
        await interaction.response.send_message(text, ephemeral=True)

    @tree.command(description="Think first")
    async def think(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        await gate.pass_through()
        file = discord.File(io.BytesIO(b"{}"), "export.json")
        await interaction.edit_original_response(content="thought", attachments=[file])
        await interaction.followup.send("and more")

    @tree.command(description="Come late")
    async def late(interaction: discord.Interaction) -> None:
        await gate.pass_through()
        await interaction.response.send_message("sorry")

    @tree.command(description="Twice")
    async def twice(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("once")
        path = f"/interactions/{interaction.id}/{interaction.token}/callback"
        second = {"type": 4, "data": {"content": "twice"}}
        await interaction.client.http.request(discord.http.Route("POST", path), json=second)

    @tree.error
    async def note(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        gate.error.set_result(error)


def add_rich_commands(tree: app_commands.CommandTree[BareClient]) -> None:
    """A panel, a menu command, a group with a completion."""

    @tree.command(description="A panel")
    async def panel(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("panel", view=Panel())

    @tree.command(description="Only where there is a guild")
    @app_commands.guild_only()
    async def serverwide(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("yes")

    @tree.context_menu(name="Why this?")
    async def why(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"because: {message.content}")

    mine = app_commands.Group(name="mydata", description="What is stored")

    @mine.command(description="Export")
    @app_commands.describe(kind="Which")
    async def export(interaction: discord.Interaction, kind: str = "all") -> None:
        await interaction.response.send_message(f"exported {kind}")

    @export.autocomplete("kind")
    async def kinds(
        interaction: discord.Interaction, current: str
    ) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{current}ll", value="all")]

    tree.add_command(mine)
