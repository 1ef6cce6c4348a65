"""From a message to the reply that is remembered."""
