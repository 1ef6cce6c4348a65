"""The plumbing of the store: connections, transactions, sealed columns, tables."""
