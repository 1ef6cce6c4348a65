"""What outlasts an outage: whose a message is, when it may be sent, a thread's channel, a lease."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("turn", sa.Column("parent_channel_id", sa.BigInteger()))
    op.add_column("conversation", sa.Column("parent_channel_id", sa.BigInteger()))
    op.add_column("inbox", sa.Column("application_id", sa.BigInteger()))
    op.add_column("inbox", sa.Column("not_before", MOMENT))
    op.create_table(
        "lease",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("renewed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("shard", name="pk_lease"),
    )
