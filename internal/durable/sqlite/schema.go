package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
)

// applicationID marks the files of this program in SQLite's header: "Tiff".
const applicationID = 0x54696666

// migration leads from one version of the file's layout to the next: once for the file, and then for the table of each
// kind that is in it, whose name is %[1]s.
type migration struct{ file, kind string }

// migrations are all of them; user_version counts those done. What a migration adds to the tables of the kinds,
// kindSchema has from the start.
var migrations = []migration{
	{file: `CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
		CREATE TABLE kinds (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
		INSERT INTO meta VALUES ('last_time', NULL);`},
	// No row is rewritten: what was there is nobody's until it is saved again, and never had a trace.
	{kind: `ALTER TABLE %[1]s ADD COLUMN party TEXT NOT NULL DEFAULT '';
		ALTER TABLE %[1]s ADD COLUMN trace TEXT NOT NULL DEFAULT '';` + partyIndex},
}

const partyIndex = `
CREATE INDEX %[1]s_party ON %[1]s (party, id) WHERE party <> '';`

// kindSchema makes the table of one kind. Times are nanoseconds since 1970 UTC, NULL for none; state, owed and seen
// are JSON text. A save touches neither the index of ids nor that of keys, and that of parties only where the party
// is another. What is short comes first: behind a long state it would be on another page.
const kindSchema = `CREATE TABLE %[1]s (
	id      TEXT PRIMARY KEY NOT NULL,
	key     TEXT UNIQUE,
	version INTEGER NOT NULL,
	created INTEGER,
	updated INTEGER,
	due     INTEGER,
	owner   TEXT NOT NULL,
	lease   INTEGER,
	minted  INTEGER NOT NULL,
	party   TEXT NOT NULL,
	trace   TEXT NOT NULL,
	state   ANY NOT NULL,
	owed    TEXT NOT NULL,
	seen    TEXT NOT NULL
) STRICT;
CREATE INDEX %[1]s_due ON %[1]s (due, owner) WHERE due IS NOT NULL;` + partyIndex

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// migrate brings the file to the newest layout, or refuses what it does not know.
func (c *conn) migrate(path string) error {
	return c.transaction("BEGIN IMMEDIATE", func() error {
		version, err := c.layout(path)
		if err != nil {
			return err
		}
		for ; version < len(migrations); version++ {
			if err := c.apply(migrations[version]); err != nil {
				return fmt.Errorf("migrate %s to version %d: %w", path, version+1, err)
			}
		}
		return c.script(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version))
	})
}

func (c *conn) apply(m migration) error {
	if m.file != "" {
		if err := c.script(m.file); err != nil {
			return err
		}
	}
	if m.kind == "" {
		return nil
	}
	kinds, err := c.kinds()
	for _, kind := range kinds {
		if err == nil {
			err = c.script(fmt.Sprintf(m.kind, kind))
		}
	}
	return err
}

// layout reads the file's version.
func (c *conn) layout(path string) (int, error) {
	app, err := c.number("PRAGMA application_id")
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, err
	}
	switch {
	case app != applicationID && (app != 0 || version != 0 || tables != 0):
		return 0, fmt.Errorf("%s is a database of another program: choose another file", path)
	case version > int64(len(migrations)):
		return 0, fmt.Errorf("%s was written by a newer version of this program (layout %d, this one knows %d): use that version",
			path, version, len(migrations))
	}
	return int(version), nil
}

// kinds are those in the file, by name.
func (c *conn) kinds() (names []string, err error) {
	err = c.query(func(row []driver.Value) error {
		names = append(names, row[0].(string))
		return nil
	}, "SELECT name FROM kinds ORDER BY name")
	return names, err
}

// hasKind says whether the kind's table is there.
func (c *conn) hasKind(kind string) (bool, error) {
	n, err := c.number("SELECT count(*) FROM kinds WHERE name = ?", kind)
	return n != 0, err
}

// addKind makes the table of a kind where it is not there yet.
func (c *conn) addKind(kind string) error {
	if there, err := c.hasKind(kind); err != nil || there {
		return err
	}
	if err := c.script(fmt.Sprintf(kindSchema, kind)); err != nil {
		return err
	}
	_, err := c.exec("INSERT INTO kinds VALUES (?)", kind)
	return err
}

// script runs several statements once.
func (c *conn) script(text string) (err error) {
	s, err := c.Prepare(text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	_, err = s.(statement).ExecContext(context.Background(), nil)
	return err
}
