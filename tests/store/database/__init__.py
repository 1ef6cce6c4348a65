"""Tests of bot.store.database."""
