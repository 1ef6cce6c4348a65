"""Steps on a CUDA device: slots, recorded graphs, and a check before the first reply."""
