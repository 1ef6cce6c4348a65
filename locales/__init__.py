"""Catalogues of sentences: `python -m locales.update` renews them."""
