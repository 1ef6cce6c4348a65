"""The bot in a browser, without Discord."""
