"""Programs that measure: `python -m benchmarks.<name>`."""
