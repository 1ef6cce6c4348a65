"""What is stored: one table after the other, the same on SQLite and PostgreSQL.

Columns that hold a person's words are bytes and sealed by `bot.store.database.crypto.Cipher`;
empty bytes are a text that is gone. In the columns of a scope `user_id` 0 means the whole channel:
NULLs never collide in a unique key. A change here needs a new file in `migrations/versions`.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = MetaData(naming_convention=NAMES)

# SQLite counts up by itself only in an INTEGER primary key, which has 64 bits there too.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite forgets the time zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Towards the database: a moment without a time zone is our own mistake."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a time zone on its way to {dialect.name}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


turn = Table(
    "turn",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("guild_id", BigInteger, index=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    # That a thread hangs on; 0: none. NULL: from before 0004, or Discord did not tell.
    Column("parent_channel_id", BigInteger),
    Column("parent_id", RowId, ForeignKey("turn.id", ondelete="SET NULL"), index=True),
    Column("role", String, nullable=False),
    Column("author_id", BigInteger, index=True),  # NULL: the bot, or a member who was erased
    Column("origin", String, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("num_tokens", Integer),  # NULL: the text was edited since it was counted
    Column("tokenizer", String, nullable=False),
    Column("source_message_id", BigInteger, index=True),
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    # Bot turns only. context_start_id is no foreign key: it may outlive its turn, and ids are
    # never used twice.
    Column("context_start_id", RowId),
    Column("num_prompt_tokens", Integer),
    Column("model", String),
    Column("revision", String),
    Column("params", JSON),
    Column("seed", BigInteger),
    Column("finish_reason", String),
    Column("latency_ms", Integer),
    Column("scores", JSON),  # NULL: made before there were any, or the text is gone
    Index(None, "channel_id", "user_id", "epoch"),
    sqlite_autoincrement=True,  # an id that is kept elsewhere must not find another turn
)

candidate = Table(
    "candidate",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("turn_id", RowId, ForeignKey("turn.id", ondelete="CASCADE"), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("scores", JSON, nullable=False),
    UniqueConstraint("turn_id", "rank"),
)

conversation = Table(
    "conversation",
    METADATA,
    Column("channel_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("guild_id", BigInteger, index=True),
    Column("parent_channel_id", BigInteger),  # as in turn
    Column("head_turn_id", RowId, ForeignKey("turn.id", ondelete="SET NULL"), index=True),
    Column("epoch", Integer, nullable=False),
    Column("touched_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("channel_id", "user_id"),
)

reply_message = Table(  # one row for each message that we sent
    "reply_message",
    METADATA,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("answers_id", BigInteger, index=True),  # the message that it answers
    Column("turn_id", RowId, ForeignKey("turn.id", ondelete="CASCADE"), index=True),
    Column("part", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

inbox = Table(
    "inbox",
    METADATA,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("guild_id", BigInteger),
    Column("channel_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("parent_channel_id", BigInteger),
    Column("author_id", BigInteger, nullable=False, index=True),
    Column("reply_to_id", BigInteger),
    Column("text", LargeBinary, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("reply_text", LargeBinary),
    Column("reply_turn_id", RowId, ForeignKey("turn.id", ondelete="SET NULL"), index=True),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("application_id", BigInteger),  # that was spoken to; NULL: from before 0004
    Column("not_before", UtcDateTime),  # Discord takes nothing there until then
)

sampling_override = Table(  # an id that plays no part in the layer is 0
    "sampling_override",
    METADATA,
    Column("layer", String, nullable=False),
    Column("guild_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("field", String, nullable=False),
    Column("value", Float(53), nullable=False),
    PrimaryKeyConstraint("layer", "guild_id", "channel_id", "user_id", "field"),
)

server_setting = Table(  # guild 0 stands for the bot itself
    "server_setting",
    METADATA,
    Column("guild_id", BigInteger, nullable=False),
    Column("name", String, nullable=False),
    Column("value", String, nullable=False),
    PrimaryKeyConstraint("guild_id", "name"),
)

member_locale = Table(
    "member_locale",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("locale", String, nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
)

lease = Table(  # which process answers for a database; one row a shard
    "lease",
    METADATA,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("application_id", BigInteger, nullable=False),
    Column("holder", String, nullable=False),  # a random name of the process
    Column("renewed_at", UtcDateTime, nullable=False),
)
