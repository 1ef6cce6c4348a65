"""`python -m bot doctor`: says what keeps the bot from running, and what to do; changes nothing."""
