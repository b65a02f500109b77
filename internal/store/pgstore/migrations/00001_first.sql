-- Everything is in one schema. Text that is compared or sorted is so by its
-- bytes (COLLATE "C"), as in a SQLite store, whatever the database's locale.
-- +goose Up
CREATE TABLE refloat.journal (
    seq     BIGINT PRIMARY KEY,
    time    BIGINT NOT NULL, -- microseconds since 1970
    actor   TEXT NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    kind    TEXT NOT NULL,
    body    TEXT NOT NULL,
    prev    TEXT NOT NULL,
    hash    TEXT NOT NULL
);
CREATE INDEX journal_subject ON refloat.journal (subject, seq);

CREATE TABLE refloat.journal_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL,
    mac  TEXT NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refloat.journal_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON refloat.journal
    FOR EACH STATEMENT EXECUTE FUNCTION refloat.journal_refuses();

CREATE TABLE refloat.log_mark (
    target      TEXT COLLATE "C" PRIMARY KEY,
    timeline    BIGINT NOT NULL,
    lsn         TEXT COLLATE "C" NOT NULL, -- 16 hexadecimal digits: sorts, and holds all 64 bits
    server_time BIGINT NOT NULL,
    at          BIGINT NOT NULL
);

CREATE TABLE refloat.beat (
    target TEXT COLLATE "C" PRIMARY KEY,
    seq    BIGINT NOT NULL,
    at     BIGINT NOT NULL, -- nanoseconds: the beat's hash covers them
    prev   TEXT NOT NULL,
    hash   TEXT NOT NULL
);

CREATE TABLE refloat.measurement (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target    TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    took      BIGINT NOT NULL, -- nanoseconds
    bytes     BIGINT NOT NULL
);
CREATE INDEX measurement_latest ON refloat.measurement (target, operation, at);

CREATE TABLE refloat.fact (
    target TEXT COLLATE "C" NOT NULL,
    name   TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (target, name)
);

CREATE TABLE refloat.alarm (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target  TEXT COLLATE "C" NOT NULL,
    code    TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    detail  TEXT NOT NULL,
    next    TEXT NOT NULL,
    raised  BIGINT NOT NULL,
    cleared BIGINT
);
CREATE UNIQUE INDEX alarm_open ON refloat.alarm (target, code, key) WHERE cleared IS NULL;

-- What the paging room remembers: alerts, escalations, deliveries, silences,
-- outages, requests. The bodies are documents of the room itself; the columns
-- are what is asked for.
CREATE TABLE refloat.paging (
    kind   TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    open   BOOLEAN NOT NULL,
    at     BIGINT NOT NULL, -- microseconds since 1970
    body   TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX paging_open ON refloat.paging (kind, at) WHERE open;
CREATE INDEX paging_at ON refloat.paging (kind, at);

-- Files that people attached to incidents, by the SHA-256 of their bytes.
CREATE TABLE refloat.attachment (
    hash TEXT COLLATE "C" PRIMARY KEY,
    data BYTEA NOT NULL
);

-- +goose Down
DROP TABLE refloat.attachment;
DROP TABLE refloat.paging;
DROP TABLE refloat.alarm;
DROP TABLE refloat.fact;
DROP TABLE refloat.measurement;
DROP TABLE refloat.beat;
DROP TABLE refloat.log_mark;
DROP TABLE refloat.journal_head;
DROP TABLE refloat.journal;
DROP FUNCTION refloat.journal_refuses();
