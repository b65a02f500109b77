-- +goose Up
-- Who may sign in.
CREATE TABLE refloat.account (
    name       TEXT COLLATE "C" PRIMARY KEY,
    password   TEXT NOT NULL,    -- argon2id hash with its parameters; empty for none
    everywhere TEXT NOT NULL,    -- the role for every team; empty for none
    teams      TEXT NOT NULL,    -- JSON: team to role
    disabled   BOOLEAN NOT NULL,
    provider   BOOLEAN NOT NULL, -- signs in through the identity provider
    identity   TEXT COLLATE "C" UNIQUE, -- issuer and subject there
    made       BIGINT NOT NULL,  -- microseconds, as all times here
    changed    BIGINT NOT NULL,
    rev        BIGINT NOT NULL
);

-- What lets somebody in: sessions, tokens, links, and browsers that are known.
-- Of a secret only its SHA-256 is kept.
CREATE TABLE refloat.pass (
    id      TEXT COLLATE "C" PRIMARY KEY,
    hash    TEXT COLLATE "C" NOT NULL UNIQUE,
    kind    TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL, -- empty for the link of the first set-up
    name    TEXT NOT NULL,
    most    TEXT NOT NULL, -- the most that a token may
    teams   TEXT NOT NULL, -- JSON: those that a token is good for
    by      TEXT NOT NULL,
    made    BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    used    BIGINT NOT NULL, -- 0 for never
    "from"  TEXT NOT NULL
);
CREATE INDEX pass_account ON refloat.pass (account, kind);
CREATE INDEX pass_until ON refloat.pass (until);

-- +goose Down
DROP TABLE refloat.pass;
DROP TABLE refloat.account;
