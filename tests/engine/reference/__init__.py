"""Tests of bot.engine.reference.engine."""
