"""Messages in, in order; replies out, exactly once."""
