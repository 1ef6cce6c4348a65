"""Opens what the bot stands on, in order, and closes it in reverse."""
