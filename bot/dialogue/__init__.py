"""What a dialogue is and how it becomes a prompt: the standard library and regex only."""
