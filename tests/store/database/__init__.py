"""Tests of bot.store.database.database."""
