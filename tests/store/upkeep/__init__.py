"""Tests of bot.store.upkeep.by_hand."""
