"""On which device a model runs, in which number format, and whether it fits and computes."""
