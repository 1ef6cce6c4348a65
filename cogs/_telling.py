"""How answers to commands are sent."""

from collections.abc import Sequence
from pathlib import Path

import discord


async def tell(
    interaction: discord.Interaction, text: str, files: Sequence[discord.File] = ()
) -> None:
    """Answer a command that was deferred, or at once and privately where it was not."""
    nobody = discord.AllowedMentions.none()
    if interaction.response.is_done():
        await interaction.edit_original_response(
            content=text, attachments=files, allowed_mentions=nobody
        )
        return
    await interaction.response.send_message(
        text, files=files, ephemeral=True, suppress_embeds=True, allowed_mentions=nobody
    )


def model_name(model: str) -> str:
    """What the members see of MODEL: of a folder only its name, for its path is the operator's."""
    path = Path(model)
    is_folder = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path.expanduser().resolve().name if is_folder else model
