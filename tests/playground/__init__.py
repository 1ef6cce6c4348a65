"""Tests of bot.playground.playground."""
