-- +goose Up
-- Who wants to be told of what the status page publishes. Deleting a subscriber
-- deletes all that is known of them.
CREATE TABLE subscriber (
    id        TEXT PRIMARY KEY,
    via       TEXT NOT NULL, -- email or webhook
    address   TEXT NOT NULL,
    secret    TEXT NOT NULL, -- of a webhook
    asked     INTEGER NOT NULL, -- microseconds since 1970, as all times here
    confirmed INTEGER,
    mailed    INTEGER NOT NULL,
    asks      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX subscriber_email ON subscriber (address) WHERE via = 'email';
CREATE INDEX subscriber_pending ON subscriber (mailed) WHERE confirmed IS NULL;

-- Updates that were handed out to subscribers, so that none is twice.
CREATE TABLE subscriber_notice (
    key  TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- What is on its way to whom: the key of a notice, or confirm.
CREATE TABLE subscriber_delivery (
    subscriber TEXT NOT NULL REFERENCES subscriber (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    at         INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    state      TEXT NOT NULL, -- waiting, sent or failed
    attempts   TEXT NOT NULL,
    PRIMARY KEY (subscriber, key)
) STRICT;
CREATE INDEX subscriber_delivery_due ON subscriber_delivery (not_before) WHERE state = 'waiting';

-- +goose Down
DROP TABLE subscriber_delivery;
DROP TABLE subscriber_notice;
DROP TABLE subscriber;
