"""The running bot as a library: importing it does no input and no output."""
