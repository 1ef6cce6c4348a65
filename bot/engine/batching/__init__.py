"""The engine that makes many replies at once, with kept prefixes."""
