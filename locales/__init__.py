"""Catalogues of sentences, one folder a language; `python -m locales.collect` renews them."""
