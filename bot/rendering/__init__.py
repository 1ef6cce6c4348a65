"""How figures, settings and tokens read, on Discord and in a terminal alike."""
