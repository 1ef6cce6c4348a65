"""Tests of bot.settings.settings."""
