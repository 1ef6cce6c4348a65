-- A database as the first schema (0001) left it, with rows; made with sqlite3 .dump.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE candidate (
	id INTEGER NOT NULL, 
	turn_id INTEGER NOT NULL, 
	rank INTEGER NOT NULL, 
	text BLOB NOT NULL, 
	scores JSON NOT NULL, 
	CONSTRAINT pk_candidate PRIMARY KEY (id), 
	CONSTRAINT fk_candidate_turn_id FOREIGN KEY(turn_id) REFERENCES turn (id) ON DELETE CASCADE, 
	CONSTRAINT uq_candidate_turn_id_rank UNIQUE (turn_id, rank)
);
INSERT INTO "candidate" VALUES(1,2,1,X'6563686F','{"fault": "echo"}');
CREATE TABLE conversation (
	channel_id BIGINT NOT NULL, 
	user_id BIGINT NOT NULL, 
	guild_id BIGINT, 
	head_turn_id INTEGER, 
	epoch INTEGER NOT NULL, 
	CONSTRAINT pk_conversation PRIMARY KEY (channel_id, user_id), 
	CONSTRAINT fk_conversation_head_turn_id FOREIGN KEY(head_turn_id) REFERENCES turn (id) ON DELETE SET NULL
);
INSERT INTO "conversation" VALUES(500,0,900,2,0);
INSERT INTO "conversation" VALUES(501,7,NULL,NULL,3);
CREATE TABLE inbox (
	message_id BIGINT NOT NULL, 
	guild_id BIGINT, 
	channel_id BIGINT NOT NULL, 
	user_id BIGINT NOT NULL, 
	parent_channel_id BIGINT, 
	author_id BIGINT NOT NULL, 
	reply_to_id BIGINT, 
	text BLOB NOT NULL, 
	state VARCHAR NOT NULL, 
	reply_text BLOB, 
	reply_turn_id INTEGER, 
	attempts INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_inbox PRIMARY KEY (message_id), 
	CONSTRAINT fk_inbox_reply_turn_id FOREIGN KEY(reply_turn_id) REFERENCES turn (id) ON DELETE SET NULL
);
INSERT INTO "inbox" VALUES(11,900,500,0,NULL,7,NULL,X'','done',NULL,2,1,'2026-02-01 10:00:00.000000');
CREATE TABLE reply_message (
	message_id BIGINT NOT NULL, 
	answers_id BIGINT, 
	turn_id INTEGER, 
	part INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_reply_message PRIMARY KEY (message_id), 
	CONSTRAINT fk_reply_message_turn_id FOREIGN KEY(turn_id) REFERENCES turn (id) ON DELETE CASCADE
);
INSERT INTO "reply_message" VALUES(71,11,2,0,'2026-02-01 10:00:03.000000');
CREATE TABLE sampling_override (
	layer VARCHAR NOT NULL, 
	guild_id BIGINT NOT NULL, 
	channel_id BIGINT NOT NULL, 
	user_id BIGINT NOT NULL, 
	field VARCHAR NOT NULL, 
	value FLOAT NOT NULL, 
	CONSTRAINT pk_sampling_override PRIMARY KEY (layer, guild_id, channel_id, user_id, field)
);
INSERT INTO "sampling_override" VALUES('channel',900,500,0,'temperature',0.5);
CREATE TABLE server_setting (
	guild_id BIGINT NOT NULL, 
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_server_setting PRIMARY KEY (guild_id, name)
);
INSERT INTO "server_setting" VALUES(0,'history_key','off');
CREATE TABLE turn (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	guild_id BIGINT, 
	channel_id BIGINT NOT NULL, 
	user_id BIGINT NOT NULL, 
	parent_id INTEGER, 
	role VARCHAR NOT NULL, 
	author_id BIGINT, 
	origin VARCHAR NOT NULL, 
	text BLOB NOT NULL, 
	num_tokens INTEGER, 
	tokenizer VARCHAR NOT NULL, 
	source_message_id BIGINT, 
	epoch INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	context_start_id INTEGER, 
	num_prompt_tokens INTEGER, 
	model VARCHAR, 
	revision VARCHAR, 
	params JSON, 
	seed BIGINT, 
	finish_reason VARCHAR, 
	latency_ms INTEGER, 
	CONSTRAINT fk_turn_parent_id FOREIGN KEY(parent_id) REFERENCES turn (id) ON DELETE SET NULL
);
INSERT INTO "turn" VALUES(1,900,500,0,NULL,'user',7,'discord',X'68656C6C6F',1,'gpt2',11,0,'2026-02-01 10:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "turn" VALUES(2,900,500,0,1,'bot',NULL,'discord',X'6869',1,'gpt2',NULL,0,'2026-02-01 10:00:02.000000',1,2,'tiny','main','{"temperature": 0.8}',5,'stop',12);
CREATE INDEX ix_turn_guild_id ON turn (guild_id);
CREATE INDEX ix_turn_parent_id ON turn (parent_id);
CREATE INDEX ix_turn_source_message_id ON turn (source_message_id);
CREATE INDEX ix_turn_channel_id_user_id_epoch ON turn (channel_id, user_id, epoch);
CREATE INDEX ix_conversation_guild_id ON conversation (guild_id);
CREATE INDEX ix_conversation_head_turn_id ON conversation (head_turn_id);
CREATE INDEX ix_reply_message_answers_id ON reply_message (answers_id);
CREATE INDEX ix_reply_message_turn_id ON reply_message (turn_id);
CREATE INDEX ix_inbox_state ON inbox (state);
CREATE INDEX ix_inbox_reply_turn_id ON inbox (reply_turn_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('turn',2);
COMMIT;
