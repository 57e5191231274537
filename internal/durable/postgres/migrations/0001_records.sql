-- One row for each record. Times are nanoseconds since 1970 UTC, exact, and null for none. State, owed and seen are
-- JSON in UTF-8, as bytes: a message is known by the bytes of its body, which jsonb would tidy up, text refuses where
-- a string in it is no UTF-8, and json parses at every write. They are read in the view.
CREATE TABLE "{schema}"."{kind}" (
	id      text COLLATE "C" NOT NULL PRIMARY KEY,
	key     text COLLATE "C",
	version bigint NOT NULL,
	created bigint,
	updated bigint,
	due     bigint,
	owner   text COLLATE "C" NOT NULL,
	lease   bigint,
	minted  bigint NOT NULL,
	state   bytea NOT NULL,
	owed    bytea NOT NULL,
	seen    bytea NOT NULL
)
-- Room in each page for the next version of a row: a save that leaves due as it is touches no index then (99 of 100,
-- against 93 without, and a fifth less log). What saves leave behind is cleared away soon, as the index of dues is
-- read from the end where most of it is.
WITH (
	fillfactor = 85,
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_limit = 1000
);

CREATE UNIQUE INDEX "{kind}_key" ON "{schema}"."{kind}" (key) WHERE key IS NOT NULL;

-- What is to be done next. Most records are done with and not in it.
CREATE INDEX "{kind}_due" ON "{schema}"."{kind}" (due, id) WHERE due IS NOT NULL;

CREATE VIEW "{schema}"."{kind}_view" AS
SELECT id, key, version, owner, minted,
	to_timestamp(created / 1e9) AS created,
	to_timestamp(updated / 1e9) AS updated,
	to_timestamp(due / 1e9) AS due,
	to_timestamp(lease / 1e9) AS lease,
	convert_from(state, 'UTF8')::jsonb AS state,
	convert_from(owed, 'UTF8')::jsonb AS owed,
	convert_from(seen, 'UTF8')::jsonb AS seen
FROM "{schema}"."{kind}";
