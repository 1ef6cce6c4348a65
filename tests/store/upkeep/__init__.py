"""Tests of bot.store.upkeep."""
