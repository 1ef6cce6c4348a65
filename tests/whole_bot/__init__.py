"""The real `python -m bot` as a process, against the local Discord."""
