"""Tests of bot.engine.batching.cuda."""
