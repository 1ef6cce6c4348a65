"""Opening, migrating, cleaning and inspecting a database."""
