-- +goose Up
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    time    INTEGER NOT NULL, -- microseconds since 1970
    actor   TEXT NOT NULL,
    subject TEXT NOT NULL,
    kind    TEXT NOT NULL,
    body    TEXT NOT NULL,
    prev    TEXT NOT NULL,
    hash    TEXT NOT NULL
) STRICT;
CREATE INDEX journal_subject ON journal (subject, seq);

CREATE TABLE journal_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL,
    mac  TEXT NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd

CREATE TABLE log_mark (
    target      TEXT PRIMARY KEY,
    timeline    INTEGER NOT NULL,
    lsn         TEXT NOT NULL, -- 16 hexadecimal digits: sorts, and holds all 64 bits
    server_time INTEGER NOT NULL,
    at          INTEGER NOT NULL
) STRICT;

CREATE TABLE beat (
    target TEXT PRIMARY KEY,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- nanoseconds: the beat's hash covers them
    prev   TEXT NOT NULL,
    hash   TEXT NOT NULL
) STRICT;

CREATE TABLE measurement (
    id        INTEGER PRIMARY KEY,
    target    TEXT NOT NULL,
    operation TEXT NOT NULL,
    at        INTEGER NOT NULL,
    took      INTEGER NOT NULL, -- nanoseconds
    bytes     INTEGER NOT NULL
) STRICT;
CREATE INDEX measurement_latest ON measurement (target, operation, at);

CREATE TABLE fact (
    target TEXT NOT NULL,
    name   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (target, name)
) STRICT;

CREATE TABLE alarm (
    id      INTEGER PRIMARY KEY,
    target  TEXT NOT NULL,
    code    TEXT NOT NULL,
    key     TEXT NOT NULL,
    detail  TEXT NOT NULL,
    next    TEXT NOT NULL,
    raised  INTEGER NOT NULL,
    cleared INTEGER
) STRICT;
CREATE UNIQUE INDEX alarm_open ON alarm (target, code, key) WHERE cleared IS NULL;

-- +goose Down
DROP TABLE alarm;
DROP TABLE fact;
DROP TABLE measurement;
DROP TABLE beat;
DROP TABLE log_mark;
DROP TABLE journal_head;
DROP TABLE journal;
