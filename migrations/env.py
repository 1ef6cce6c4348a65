"""Alembic's entry: runs the steps on the connection that `bot.store.upkeep.migration` hands over.

Developers make a new step with
`alembic -c migrations/alembic.ini -x url=sqlite:///data/banter.db revision --autogenerate -m "…"`.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from bot.store.database.tables import METADATA


def run_on(connection: Connection) -> None:
    """Run the steps that are missing, in the transaction that `connection` is in."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,  # SQLite's ALTER TABLE can do little: tables are copied
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Run on the connection we were given, or on the one that `-x url=…` names."""
    given = context.config.attributes.get("connection")
    if given is not None:
        run_on(given)
        return
    url = context.get_x_argument(as_dictionary=True)["url"]
    with create_engine(url).begin() as connection:
        run_on(connection)


run()
