"""A grammar of small talk, written for this project: dialogues without end, from a seed."""
