"""Instruments that see how good replies are; run with `python -m evaluation`."""
