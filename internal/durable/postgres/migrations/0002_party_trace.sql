-- Whose a record is, and the trace it belongs to; '' where nobody's and none. What was there before is nobody's until it
-- is saved again: no row is rewritten, but the index reads all of them once, and nothing is written meanwhile.
ALTER TABLE "{schema}"."{kind}"
	ADD COLUMN party text COLLATE "C" NOT NULL DEFAULT '',
	ADD COLUMN trace text COLLATE "C" NOT NULL DEFAULT '';

-- What a party has, the newest first. A save that leaves party as it is does not touch it.
CREATE INDEX "{kind}_party" ON "{schema}"."{kind}" (party, id) WHERE party <> '';

CREATE OR REPLACE VIEW "{schema}"."{kind}_view" AS
SELECT id, key, version, owner, minted,
	to_timestamp(created / 1e9) AS created,
	to_timestamp(updated / 1e9) AS updated,
	to_timestamp(due / 1e9) AS due,
	to_timestamp(lease / 1e9) AS lease,
	convert_from(state, 'UTF8')::jsonb AS state,
	convert_from(owed, 'UTF8')::jsonb AS owed,
	convert_from(seen, 'UTF8')::jsonb AS seen,
	party, trace
FROM "{schema}"."{kind}";
