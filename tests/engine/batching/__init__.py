"""Tests of bot.engine.batching."""
