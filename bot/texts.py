"""Every sentence a person sees, in their language.

The English sentence is the key; `locales/<language>/LC_MESSAGES/banter.po` translates it.
`make locales` collects the sentences and compiles the catalogues.
"""

import gettext
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from bot.errors import ChatError, RefusedError, SeveralWrongSettingsError

LANGUAGES = ("en", "ko")
FALLBACK_LANGUAGE = "en"
_DOMAIN = "banter"
_LOCALES = Path(__file__).resolve().parent.parent / "locales"


def mark(sentence: str) -> str:
    """Name a sentence for the catalogues where it is said later, elsewhere."""
    return sentence


@runtime_checkable
class Told(Protocol):
    """A value of a sentence that is translated itself."""

    def told(self, locale: str) -> str:
        """What stands in the sentence, in the language of `locale`."""
        ...


def say(sentence: str, locale: str, **values: object) -> str:
    """`sentence` in the language of `locale` (`ko`, `ko-KR`, `en_US.UTF-8`), places filled."""
    told = {
        name: value.told(locale) if isinstance(value, Told) else value
        for name, value in values.items()
    }
    return _catalogue(language_of(locale)).gettext(sentence).format(**told)


def explain(error: ChatError, locale: str) -> str:
    """The sentence of `error` in the language of `locale`; one a line where it holds several."""
    if isinstance(error, SeveralWrongSettingsError):
        return "\n".join(explain(mistake, locale) for mistake in error.mistakes)
    return say(error.sentence, locale, **error.values)


def unknown_command(command: str, commands: Sequence[str]) -> RefusedError:
    """What `command` is answered with, which is none of `commands`."""
    if meant := get_close_matches(command, commands, n=1):
        return RefusedError(
            "There's no command {command}: did you mean {meant}?", command=command, meant=meant[0]
        )
    return RefusedError(
        "There's no command {command}: the commands are {commands}.",
        command=command,
        commands=", ".join(commands),
    )


def language_of(locale: str) -> str:
    """The language we speak for `locale`: English for one that we have no catalogue for."""
    language = locale.replace("_", "-").split("-")[0].split(".")[0].lower()
    return language if language in LANGUAGES else FALLBACK_LANGUAGE


def terminal_locale(environ: Mapping[str, str] | None = None) -> str:
    """The locale of the person at the terminal, from the environment."""
    source = os.environ if environ is None else environ
    named = (source.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((locale for locale in named if locale), FALLBACK_LANGUAGE)


DEMONSTRATION = mark(
    "It speaks with the embedded demonstration voice, which knows a little small talk and no more."
)

ONLY_TEXT = mark("I can only read text: please say it in words.")


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(_DOMAIN, _LOCALES, [language], fallback=True)
