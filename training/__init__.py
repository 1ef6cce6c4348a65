"""Programs that make and tune models: `python -m training.<name>`."""
