-- +goose Up
-- Who wants to be told of what the status page publishes. Deleting a subscriber
-- deletes all that is known of them.
CREATE TABLE refloat.subscriber (
    id        TEXT COLLATE "C" PRIMARY KEY,
    via       TEXT COLLATE "C" NOT NULL, -- email or webhook
    address   TEXT COLLATE "C" NOT NULL,
    secret    TEXT NOT NULL, -- of a webhook
    asked     BIGINT NOT NULL, -- microseconds since 1970, as all times here
    confirmed BIGINT,
    mailed    BIGINT NOT NULL,
    asks      BIGINT NOT NULL
);
CREATE UNIQUE INDEX subscriber_email ON refloat.subscriber (address) WHERE via = 'email';
CREATE INDEX subscriber_pending ON refloat.subscriber (mailed) WHERE confirmed IS NULL;

-- Updates that were handed out to subscribers, so that none is twice.
CREATE TABLE refloat.subscriber_notice (
    key  TEXT COLLATE "C" PRIMARY KEY,
    at   BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- What is on its way to whom: the key of a notice, or confirm.
CREATE TABLE refloat.subscriber_delivery (
    subscriber TEXT COLLATE "C" NOT NULL REFERENCES refloat.subscriber (id) ON DELETE CASCADE,
    key        TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL, -- waiting, sent or failed
    attempts   TEXT NOT NULL,
    PRIMARY KEY (subscriber, key)
);
CREATE INDEX subscriber_delivery_due ON refloat.subscriber_delivery (not_before) WHERE state = 'waiting';

-- +goose Down
DROP TABLE refloat.subscriber_delivery;
DROP TABLE refloat.subscriber_notice;
DROP TABLE refloat.subscriber;
