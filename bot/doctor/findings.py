"""What the doctor finds: one line each, with a mark, and what to do where something is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from bot.errors import EXIT_UNAVAILABLE, EXIT_WRONG_SETTINGS, SeveralWrongSettingsError, StartError
from bot.logs import redact
from bot.texts import mark, say


class Verdict(Enum):
    """How good or bad it is; the value is what the line begins with."""

    OK = mark("ok")
    WARNING = mark("warning")
    FAULT = mark("fault")


@dataclass(frozen=True, slots=True)
class Words:
    """A value of a sentence that is translated itself, word by word; see bot.texts.Told."""

    words: tuple[str, ...]

    def told(self, locale: str) -> str:
        """The words in the language of `locale`."""
        return ", ".join(say(word, locale) for word in self.words)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `exit_code` is that of the start that would fail because of it, else 0.

    `only_playground`: the bot would not start on Discord, but the playground would.
    """

    verdict: Verdict
    sentence: str
    values: Mapping[str, object]
    exit_code: int = 0
    only_playground: bool = False


def ok(sentence: str, **values: object) -> Finding:
    """Something is as it should be."""
    return Finding(Verdict.OK, sentence, values)


def warn(sentence: str, **values: object) -> Finding:
    """The bot can run, but not as well as it could; the sentence says what to do."""
    return Finding(Verdict.WARNING, sentence, values)


def fault(sentence: str, **values: object) -> Finding:
    """The bot cannot run, or not where it was asked for; the sentence says what to do."""
    return Finding(Verdict.FAULT, sentence, values, EXIT_UNAVAILABLE)


def faults(error: StartError) -> list[Finding]:
    """A finding for each mistake that `error` holds, which the start would raise."""
    mistakes = error.mistakes if isinstance(error, SeveralWrongSettingsError) else (error,)
    return [Finding(Verdict.FAULT, one.sentence, one.values, one.exit_code) for one in mistakes]


def softened(finding: Finding) -> Finding:
    """A fault that does not keep the bot from starting, as a warning."""
    if finding.verdict is not Verdict.FAULT:
        return finding
    return replace(finding, verdict=Verdict.WARNING, exit_code=0)


def line_of(finding: Finding, locale: str) -> str:
    """The finding as a person reads it; nothing in it looks like a token."""
    width = max(len(say(verdict.value, locale)) for verdict in Verdict)
    told = " ".join(say(finding.sentence, locale, **finding.values).split())
    return f"{say(finding.verdict.value, locale):{width}}  {redact(told)}"


def exit_code_of(findings: Iterable[Finding]) -> int:
    """0: the bot can run. 78: a setting is wrong, so that a new start is of no use. 69: else."""
    codes = {finding.exit_code for finding in findings} - {0}
    if not codes:
        return 0
    return EXIT_WRONG_SETTINGS if EXIT_WRONG_SETTINGS in codes else EXIT_UNAVAILABLE


def summary_of(findings: Iterable[Finding], locale: str) -> str:
    """The last line: whether the bot can run, or only the playground."""
    found = list(findings)
    verdicts = [finding.verdict for finding in found]
    num_faults, num_warnings = verdicts.count(Verdict.FAULT), verdicts.count(Verdict.WARNING)
    if num_faults:
        sentence = mark(
            "Something has to be mended. Faults: {number}; each of these lines says what to do."
        )
    elif any(finding.only_playground for finding in found):
        sentence = mark("Only the playground can run, not the bot on Discord. Warnings: {number}.")
    elif num_warnings:
        sentence = mark("The bot can run. Warnings: {number}.")
    else:
        sentence = mark("The bot can run.")
    return say(sentence, locale, number=num_faults or num_warnings)
