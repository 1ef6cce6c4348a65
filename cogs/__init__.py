"""The Discord face: convert, call one method, render."""
