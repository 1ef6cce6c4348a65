"""Tests of bot.engine.sampling."""
