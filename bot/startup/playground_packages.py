"""The packages that only the playground needs: a server's bot may be installed without them."""

import sys
from importlib.util import find_spec

from bot.errors import StartError, UnavailableError, WrongSettingsError

PLAYGROUND_PACKAGES = ("simcord", "linkify_it", "markdown_it", "PIL")


def token_needed() -> StartError | None:
    """Why nothing can start without a token; None where the playground can."""
    if not _missing():
        return None
    return WrongSettingsError(
        "DISCORD_TOKEN is not set: create an application on "
        "https://discord.com/developers/applications, press Reset Token on its page Bot, and "
        "put the token into .env as DISCORD_TOKEN=…"
    )


def need_playground() -> None:
    """Raise UnavailableError where the playground's packages are not installed."""
    if missing := _missing():
        raise UnavailableError(
            "The playground needs packages that are not installed ({packages}): run "
            "`{python} -m pip install --editable '.[playground]'`.",
            packages=", ".join(missing),
            python=sys.executable,
        )


def _missing() -> list[str]:
    return [name for name in PLAYGROUND_PACKAGES if find_spec(name) is None]
