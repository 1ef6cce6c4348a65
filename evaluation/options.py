"""Kinds of options that argparse does not know."""

import argparse
from collections.abc import Callable


def at_least(low: int) -> Callable[[str], int]:
    """Reads a whole number that is not below `low`; argparse says what is wrong with another."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            raise argparse.ArgumentTypeError(f"{text} is no whole number from {low} on")
        return number

    return whole_number
