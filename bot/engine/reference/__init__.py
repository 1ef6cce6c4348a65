"""The reference engine: transformers, one request after another; the oracle of the tests."""
