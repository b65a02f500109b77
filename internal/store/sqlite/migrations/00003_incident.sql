-- +goose Up
-- Files that people attached to incidents, by the SHA-256 of their bytes. The
-- journal says whose they are; a file without an entry there belongs to nothing.
CREATE TABLE attachment (
    hash TEXT PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- +goose Down
DROP TABLE attachment;
