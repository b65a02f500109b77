-- +goose Up
-- What the paging room remembers: alerts, escalations, deliveries, silences,
-- outages, requests from the command line. The bodies are documents of the room
-- itself; the columns are what is asked for.
CREATE TABLE paging (
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    target TEXT NOT NULL,
    open   INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- microseconds since 1970
    body   TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX paging_open ON paging (kind, at) WHERE open = 1;
CREATE INDEX paging_at ON paging (kind, at);

-- +goose Down
DROP TABLE paging;
