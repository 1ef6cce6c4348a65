"""Tests of bot.engine.checkpoints."""
