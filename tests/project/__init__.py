"""The rules of the project, checked on its files."""
