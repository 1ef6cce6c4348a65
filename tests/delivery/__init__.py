"""Tests of bot.delivery.delivery."""
