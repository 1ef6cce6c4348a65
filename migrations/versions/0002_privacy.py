"""What retention and erasure look for: a member's rows, old rows, scopes that nobody uses."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "member_locale",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("saved_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_member_locale"),
    )
    op.add_column("conversation", sa.Column("touched_at", MOMENT))
    op.execute(
        "UPDATE conversation SET touched_at = COALESCE("
        "(SELECT created_at FROM turn WHERE turn.id = conversation.head_turn_id),"
        " CURRENT_TIMESTAMP)"
    )
    with op.batch_alter_table("conversation") as batch:
        batch.alter_column("touched_at", existing_type=MOMENT, nullable=False)
    op.create_index("ix_turn_author_id", "turn", ["author_id"])
    op.create_index("ix_turn_created_at", "turn", ["created_at"])
    op.create_index("ix_inbox_author_id", "inbox", ["author_id"])
    op.create_index("ix_sampling_override_user_id", "sampling_override", ["user_id"])
