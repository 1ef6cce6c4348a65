"""Programs that make pages and lists of the documents from the code; they run in a checkout."""
