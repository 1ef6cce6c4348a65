"""Models on disk and from a hub: found, fetched, converted, and checked."""
