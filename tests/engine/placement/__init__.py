"""Tests of bot.engine.placement."""
