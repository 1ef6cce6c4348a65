"""What the ranking found of a reply that was chosen."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("scores", sa.JSON()))
