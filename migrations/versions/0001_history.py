"""The tree of turns, the inbox and the settings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    make_turn()
    make_candidate()
    make_conversation()
    make_reply_message()
    make_inbox()
    make_settings()


def make_turn() -> None:
    op.create_table(
        "turn",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", ROW_ID),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("author_id", sa.BigInteger()),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("num_tokens", sa.Integer()),
        sa.Column("tokenizer", sa.String(), nullable=False),
        sa.Column("source_message_id", sa.BigInteger()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("context_start_id", ROW_ID),
        sa.Column("num_prompt_tokens", sa.Integer()),
        sa.Column("model", sa.String()),
        sa.Column("revision", sa.String()),
        sa.Column("params", sa.JSON()),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("finish_reason", sa.String()),
        sa.Column("latency_ms", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["turn.id"], name="fk_turn_parent_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_turn"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_turn_guild_id", "turn", ["guild_id"])
    op.create_index("ix_turn_parent_id", "turn", ["parent_id"])
    op.create_index("ix_turn_source_message_id", "turn", ["source_message_id"])
    op.create_index("ix_turn_channel_id_user_id_epoch", "turn", ["channel_id", "user_id", "epoch"])


def make_candidate() -> None:
    op.create_table(
        "candidate",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("turn_id", ROW_ID, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name="fk_candidate_turn_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_candidate"),
        sa.UniqueConstraint("turn_id", "rank", name="uq_candidate_turn_id_rank"),
    )


def make_conversation() -> None:
    op.create_table(
        "conversation",
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("head_turn_id", ROW_ID),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["head_turn_id"], ["turn.id"], name="fk_conversation_head_turn_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("channel_id", "user_id", name="pk_conversation"),
    )
    op.create_index("ix_conversation_guild_id", "conversation", ["guild_id"])
    op.create_index("ix_conversation_head_turn_id", "conversation", ["head_turn_id"])


def make_reply_message() -> None:
    op.create_table(
        "reply_message",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("answers_id", sa.BigInteger()),
        sa.Column("turn_id", ROW_ID),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name="fk_reply_message_turn_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_reply_message"),
    )
    op.create_index("ix_reply_message_answers_id", "reply_message", ["answers_id"])
    op.create_index("ix_reply_message_turn_id", "reply_message", ["turn_id"])


def make_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_channel_id", sa.BigInteger()),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("reply_to_id", sa.BigInteger()),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reply_text", sa.LargeBinary()),
        sa.Column("reply_turn_id", ROW_ID),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["reply_turn_id"], ["turn.id"], name="fk_inbox_reply_turn_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_state", "inbox", ["state"])
    op.create_index("ix_inbox_reply_turn_id", "inbox", ["reply_turn_id"])


def make_settings() -> None:
    op.create_table(
        "sampling_override",
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint(
            "layer", "guild_id", "channel_id", "user_id", "field", name="pk_sampling_override"
        ),
    )
    op.create_table(
        "server_setting",
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "name", name="pk_server_setting"),
    )
