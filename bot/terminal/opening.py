"""What the commands that talk in the terminal begin with."""

import os

from bot.logs import configure_logs
from bot.settings.settings import EMBEDDED_MODEL, Settings, load_settings


def open_settings() -> Settings:
    """The settings, by default with the embedded model; the log holds warnings only.

    Raises WrongSettingsError.
    """
    settings = load_settings(os.environ, default_model=EMBEDDED_MODEL)
    configure_logs("WARNING", settings.log_format, secrets=settings.secrets)
    return settings
