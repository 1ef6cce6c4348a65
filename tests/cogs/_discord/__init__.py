"""Tests of cogs._discord."""
