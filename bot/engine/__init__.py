"""Token ids in, token ids out: the only home of torch."""
