-- Which of the nodes leads. The fence grows with each change of the lead, and
-- what the leader writes holds a share of its row until it is committed: taking
-- the lead over waits for that, and after it nothing of the old leader is taken.
-- +goose Up
CREATE TABLE refloat.lease (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    fence    BIGINT NOT NULL UNIQUE, -- unique, so that a change of it waits for who shares the row
    beat     BIGINT NOT NULL,        -- counts renewals
    node     TEXT NOT NULL,          -- who leads; empty for nobody
    instance TEXT NOT NULL,          -- which start of it
    since    TIMESTAMPTZ NOT NULL,
    renewed  TIMESTAMPTZ NOT NULL
);
INSERT INTO refloat.lease VALUES (1, 0, 0, '', '', now(), now());

CREATE TABLE refloat.node (
    name     TEXT COLLATE "C" PRIMARY KEY,
    instance TEXT NOT NULL,
    version  TEXT NOT NULL,
    seen     TIMESTAMPTZ NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refloat.must_lead(mine BIGINT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM refloat.lease WHERE fence = mine FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another node has taken the lead' USING ERRCODE = 'RF001';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION refloat.must_lead(BIGINT);
DROP TABLE refloat.node;
DROP TABLE refloat.lease;
