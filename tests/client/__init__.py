"""Tests of bot.client.chat_bot."""
