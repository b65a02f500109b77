-- +goose Up
-- Who may sign in.
CREATE TABLE account (
    name       TEXT PRIMARY KEY,
    password   TEXT NOT NULL,    -- argon2id hash with its parameters; empty for none
    everywhere TEXT NOT NULL,    -- the role for every team; empty for none
    teams      TEXT NOT NULL,    -- JSON: team to role
    disabled   INTEGER NOT NULL,
    provider   INTEGER NOT NULL, -- signs in through the identity provider
    identity   TEXT UNIQUE,      -- issuer and subject there
    made       INTEGER NOT NULL, -- microseconds, as all times here
    changed    INTEGER NOT NULL,
    rev        INTEGER NOT NULL
) STRICT;

-- What lets somebody in: sessions, tokens, links, and browsers that are known.
-- Of a secret only its SHA-256 is kept.
CREATE TABLE pass (
    id      TEXT PRIMARY KEY,
    hash    TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,
    account TEXT NOT NULL, -- empty for the link of the first set-up
    name    TEXT NOT NULL,
    most    TEXT NOT NULL, -- the most that a token may
    teams   TEXT NOT NULL, -- JSON: those that a token is good for
    by      TEXT NOT NULL,
    made    INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    used    INTEGER NOT NULL, -- 0 for never
    "from"  TEXT NOT NULL
) STRICT;
CREATE INDEX pass_account ON pass (account, kind);
CREATE INDEX pass_until ON pass (until);

-- +goose Down
DROP TABLE pass;
DROP TABLE account;
