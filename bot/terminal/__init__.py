"""The bot in a terminal: a conversation, next-word prediction, the command line's words."""
