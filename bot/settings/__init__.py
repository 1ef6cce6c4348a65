"""What the operator chooses: every variable, its default and its check."""
