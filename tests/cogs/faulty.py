"""An extension whose commands fail, each in its way."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import InvalidSettingError, StoreUnavailableError


class Response:
    """As much of an HTTP response as an HTTPException reads."""

    status = 404
    reason = "Not Found"


ERRORS: dict[str, Exception] = {
    "memory": StoreUnavailableError(),
    "bound": InvalidSettingError(name="top_k", low=0, high=200, value=999),
    "bug": ZeroDivisionError("secret words"),
    "rights": app_commands.MissingPermissions(["manage_guild"]),
    "odd": app_commands.MissingPermissions(["mute_members"]),
    "place": app_commands.NoPrivateMessage(),
    "late": discord.NotFound(
        Response(),
        {"code": 10062, "message": "Unknown interaction"},
    ),
}


class Faulty(commands.Cog):
    """Raises on demand."""

    @app_commands.command(name="fail", description="Fail")
    async def fail(self, interaction: discord.Interaction[Any], how: str, wait: bool) -> None:
        if wait:
            await interaction.response.defer(ephemeral=True)
        raise ERRORS[how]


async def setup(bot: commands.Bot) -> None:
    await bot.add_cog(Faulty())
