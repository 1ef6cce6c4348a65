"""The hub that the environment or `.env` names."""

import os
from pathlib import Path

from bot.engine.checkpoints.hub import PATIENCE_SECONDS, Hub
from bot.settings.env_file import ENV_FILE, read_variables


def chosen_hub(env_file: Path = ENV_FILE, *, patience: float = PATIENCE_SECONDS) -> Hub:
    """The hub that HF_ENDPOINT and HF_TOKEN name; the environment wins over `env_file`.

    Raises WrongSettingsError for a file that cannot be read.
    """
    written = read_variables(env_file)

    def chosen(name: str) -> str | None:
        return os.environ.get(name, "").strip() or written.get(name, "").strip() or None

    return Hub(chosen("HF_ENDPOINT"), token=chosen("HF_TOKEN"), patience=patience)
