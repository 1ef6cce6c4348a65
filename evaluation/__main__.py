"""`python -m evaluation …`: how good replies are, in figures."""

import argparse
import sys
from collections.abc import Sequence

from bot.errors import EXIT_UNAVAILABLE, EngineError, StartError
from evaluation.errors import EXIT_WRONG_INPUT, InputError, MissingExtraError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the programs; returns its exit code."""
    try:
        return _run(arguments)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_WRONG_INPUT
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except EngineError as error:
        sys.stderr.write(f"The model failed: {error}\n")
        return EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    try:
        # numpy is an extra: without it one sentence says so
        from evaluation.programs import PROGRAMS  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise MissingExtraError("python -m evaluation", "numpy") from error
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="program", required=True)
    for name, program in PROGRAMS.items():
        program.add_arguments(
            commands.add_parser(name, help=program.HELP, description=program.__doc__)
        )
    options = parser.parse_args(arguments)
    return PROGRAMS[options.program].run(options)


if __name__ == "__main__":
    sys.exit(main())
