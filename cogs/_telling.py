"""What the answers to commands share: how they are sent, and names and refusals in them."""

from collections.abc import Sequence
from pathlib import Path

import discord

from bot.errors import RefusedError
from cogs._discord.outgoing import NO_PINGS

NUM_REPEATED = 40  # characters of a forged value that its refusal repeats


async def tell(
    interaction: discord.Interaction, text: str, files: Sequence[discord.File] = ()
) -> None:
    """Answer a command that was deferred, or at once and privately where it was not."""
    if interaction.response.is_done():
        await interaction.edit_original_response(
            content=text, attachments=files, allowed_mentions=NO_PINGS
        )
        return
    await interaction.response.send_message(
        text, files=files, ephemeral=True, suppress_embeds=True, allowed_mentions=NO_PINGS
    )


def unknown_choice(name: str, value: object) -> RefusedError:
    """What refuses a `value` that Discord's clients do not offer for an option: it is forged."""
    return RefusedError(
        "“{value}” is not a choice of `{name}`.", name=name, value=str(value)[:NUM_REPEATED]
    )


def model_name(model: str) -> str:
    """What the members see of MODEL: of a folder only its name, for its path is the operator's."""
    path = Path(model)
    is_folder = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path.expanduser().resolve().name if is_folder else model
