"""What a bot's token looks like, and what a person may have copied in its place."""

import base64
import binascii
import re

from bot.errors import WrongSettingsError

# The bot's id in base64, a time stamp and a signature. Discord has made the last two longer
# before: how long they may be is not asked.
_TOKEN = re.compile(r"([\w-]{20,32})\.[\w-]{5,}\.[\w-]{25,}", re.ASCII)
_PUBLIC_KEY = re.compile(r"[0-9a-fA-F]{64}")
_ID = re.compile(r"[0-9]{15,20}")
_CLIENT_SECRET = re.compile(r"[\w-]{32}", re.ASCII)


def is_bot_token(text: str) -> bool:
    """Whether `text` can be a bot's token; only Discord knows whether it is one."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return False
    try:
        bot_id = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
    except binascii.Error:
        return False
    return bot_id.isdigit()


def not_a_token(name: str, text: str) -> WrongSettingsError:
    """What a person is told who gave `text` in place of a token; it is not repeated."""
    if _PUBLIC_KEY.fullmatch(text):
        return WrongSettingsError(
            "{name} is not a token but the Public Key of your application: press Reset Token on "
            "the page Bot and copy what appears.",
            name=name,
        )
    if _ID.fullmatch(text):
        return WrongSettingsError(
            "{name} is not a token but an id, as the Application ID is one: press Reset Token on "
            "the page Bot and copy what appears.",
            name=name,
        )
    if _CLIENT_SECRET.fullmatch(text):
        return WrongSettingsError(
            "{name} is not a token; it looks like the Client Secret of the page OAuth2: press "
            "Reset Token on the page Bot and copy what appears.",
            name=name,
        )
    return WrongSettingsError(
        "{name} is not a token: copy it from the page Bot of your application as it is, "
        "without the word Bot before it.",
        name=name,
    )
