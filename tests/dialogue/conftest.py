"""Settings of the property tests."""

from hypothesis import settings

# A machine that does other work as well may pause any example for longer than a deadline.
settings.register_profile("dialogue", deadline=None)
settings.load_profile("dialogue")
