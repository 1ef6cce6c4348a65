"""Reads `.env`: the file of the current folder that holds the operator's variables."""

import io
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from bot.errors import WrongSettingsError
from bot.paths import is_open_to_others

ENV_FILE = Path(".env")
LIKENESS = 0.8  # of a variable's name to a setting's, from which it counts as misspelt


def exposed_to_others(env_file: Path = ENV_FILE) -> bool:
    """Whether other users of this computer may read `env_file`, which holds the token."""
    return is_open_to_others(env_file)


def read_variables(env_file: Path) -> dict[str, str]:
    """The variables of `env_file`, quotes removed; `$` has no meaning in it.

    A file that is not there has none. Raises WrongSettingsError for one that cannot be read.
    """
    try:
        text = env_file.read_text(encoding="utf-8-sig")  # Windows' editor writes a mark
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise WrongSettingsError(
            "{file} is not UTF-8 text: save it as UTF-8.", file=env_file
        ) from error
    except OSError as error:
        raise WrongSettingsError(
            "{file} cannot be read: {reason}.", file=env_file, reason=error.strerror
        ) from error
    bindings = list(parse_stream(io.StringIO(text)))
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise WrongSettingsError(
                "Line {line} of {file} is not of the form NAME=value.",
                line=binding.original.line,
                file=env_file,
            )
    return {one.key: one.value for one in bindings if one.key and one.value is not None}


def misspelt(
    written: Collection[str], names: Collection[str], env_file: Path
) -> Iterator[WrongSettingsError]:
    """A mistake for each of the `written` names that is nearly one of `names`.

    Other foreign names are fine: a `.env` may serve other programs too.
    """
    for name in sorted(set(written) - set(names)):
        for meant in get_close_matches(name.upper(), names, n=1, cutoff=LIKENESS):
            yield WrongSettingsError(
                "{file} sets {name}, which is not a setting: did you mean {meant}?",
                file=env_file,
                name=name,
                meant=meant,
            )
