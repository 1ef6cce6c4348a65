"""What is remembered: the only home of sqlalchemy."""
