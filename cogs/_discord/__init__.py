"""What the cogs share about Discord: messages in, replies out, places and permissions."""
