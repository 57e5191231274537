package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
	"github.com/tiffin-food/tiffin/internal/engines"
)

const secret = "s3cr3t"

// TestInvalidOptions: what can never work is said at once, by name and with the form it must have, and never with
// the password in it.
func TestInvalidOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		opt  postgres.Options
		want string
	}{
		"nothing":              {postgres.Options{}, "PostgreSQL URL: it does not begin with postgres://"},
		"another scheme":       {postgres.Options{URL: "mysql://u:" + secret + "@h/d"}, "postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		"keywords":             {postgres.Options{URL: "host=h password=" + secret}, "postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		"port":                 {postgres.Options{URL: "postgres://u:" + secret + "@h:x/d"}, "a part of it cannot be understood"},
		"slash in password":    {postgres.Options{URL: "postgres://u:" + secret + "/x@h:5432/d"}, "a part of it cannot be understood"},
		"percent in password":  {postgres.Options{URL: "postgres://u:" + secret + "%zz@h:5432/d"}, "written %XX"},
		"sslmode":              {postgres.Options{URL: "postgres://u:" + secret + "@h/d?sslmode=perhaps"}, "a part of it cannot be understood"},
		"schema":               {postgres.Options{URL: "postgres://u:" + secret + "@h/d", Schema: "No \"way"}, `schema "No \"way"`},
		"schema of the server": {postgres.Options{URL: "postgres://u:" + secret + "@h/d", Schema: "pg_catalog"}, `schema "pg_catalog"`},
		"connections":          {postgres.Options{URL: "postgres://u:" + secret + "@h/d", MaxConns: -1}, "-1 is not a number of connections"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) || errors.Is(err, postgres.ErrAway) {
				t.Errorf("it tells the password or may pass: %v", err)
			}
		})
	}
}

// TestAway: where nobody listens the error says so, and that it may pass.
func TestAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = postgres.Open(t.Context(), postgres.Options{URL: "postgres://u:" + secret + "@" + nobody + "/d"})
	if !errors.Is(err, postgres.ErrAway) || !strings.Contains(err.Error(), nobody) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") || time.Since(begun) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	t.Log(err)
	if _, err := postgres.Open(canceled(t), postgres.Options{URL: "postgres://u@" + nobody + "/d"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestRefusedConnection: a database that does not exist is not a server that is away.
func TestRefusedConnection(t *testing.T) {
	server := engines.URL(t, engines.PostgreSQL)
	_, err := postgres.Open(t.Context(), postgres.Options{URL: with(server, func(u *url.URL) { u.Path = "/nowhere" })})
	if err == nil || errors.Is(err, postgres.ErrAway) || !strings.Contains(err.Error(), `database "nowhere" does not exist`) {
		t.Errorf("got %v", err)
	}
	latin := "tiffin_" + strings.ToLower(rand.Text())
	query(t, server, "CREATE DATABASE "+latin+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { query(t, server, "DROP DATABASE "+latin+" WITH (FORCE)") })
	_, err = postgres.Open(t.Context(), postgres.Options{URL: with(server, func(u *url.URL) { u.Path = "/" + latin })})
	if err == nil || !strings.Contains(err.Error(), "encoding LATIN1: it must be UTF8") {
		t.Errorf("got %v", err)
	}
}

// TestClosed: a closed database answers so, and closing it again is no error.
func TestClosed(t *testing.T) {
	db := open(t, postgres.Options{URL: database(t)})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	shut(t, db)
	_, _, claim := s.Claim(t.Context(), durable.Claim{Who: "x", Now: noon, Lease: noon.Add(1), Limit: 1})
	_, load := s.Load(t.Context(), "r1")
	for what, err := range map[string]error{"save": s.Save(t.Context(), next(r)), "load": load, "claim": claim, "ping": db.Ping(t.Context())} {
		if !errors.Is(err, postgres.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	shut(t, db)
}

// TestReadOnly: nothing is made and nothing is written; what is there can be read.
func TestReadOnly(t *testing.T) {
	url := database(t)
	_, err := postgres.Open(t.Context(), postgres.Options{URL: url, ReadOnly: true})
	if err == nil || !strings.Contains(err.Error(), "there is no schema tiffin") {
		t.Errorf("an empty database: %v", err)
	}
	s := orders(t, open(t, postgres.Options{URL: url}))
	r := create(t, s, record("r1"))
	db := open(t, postgres.Options{URL: url, ReadOnly: true})
	if _, err := db.Store(t.Context(), "payments"); err == nil || !strings.Contains(err.Error(), "open it for writing once") {
		t.Errorf("a kind that is not there: %v", err)
	}
	reader := orders(t, db)
	_, _, claim := reader.Claim(t.Context(), durable.Claim{Who: "x", Now: noon, Lease: noon.Add(1), Limit: 1})
	for what, err := range map[string]error{
		"create": reader.Create(t.Context(), record("r2")), "save": reader.Save(t.Context(), next(r)), "claim": claim,
	} {
		if !errors.Is(err, postgres.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if v := version(t, reader, "r1"); v != 1 {
		t.Errorf("version %d", v)
	}
}

// TestLastTime is the latest of all kinds.
func TestLastTime(t *testing.T) {
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	if last, err := db.LastTime(t.Context()); err != nil || !last.IsZero() {
		t.Errorf("nothing: %v, %v", last, err)
	}
	for i, kind := range []string{"orders", "payments", "select"} {
		s, err := db.Store(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		r := record("r1")
		r.Updated = noon.Add(time.Duration(i%2) * time.Hour)
		create(t, s, r)
	}
	reader := open(t, postgres.Options{URL: url, ReadOnly: true})
	if last, err := reader.LastTime(t.Context()); err != nil || !last.Equal(noon.Add(time.Hour)) {
		t.Errorf("%v, %v", last, err)
	}
	if kinds, err := reader.Kinds(t.Context()); err != nil || strings.Join(kinds, " ") != "orders payments select" {
		t.Errorf("%q, %v", kinds, err)
	}
}

// TestDurable: a user for whom commits would not wait for the disk has them wait, and a server that does not write
// through is warned of.
func TestDurable(t *testing.T) {
	url := database(t)
	for set, want := range map[string]string{"off": "on", "local": "local", "remote_apply": "remote_apply"} {
		db := open(t, postgres.Options{URL: parameter(url, "synchronous_commit", set)})
		if got, err := db.Setting(t.Context(), "synchronous_commit"); err != nil || got != want {
			t.Errorf("%s became %s, %v", set, got, err)
		}
	}
	var log bytes.Buffer
	db := open(t, postgres.Options{URL: url, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if got, err := db.Setting(t.Context(), "fsync"); err != nil || strings.Contains(log.String(), "may lose") != (got != "on") {
		t.Errorf("fsync %s, %v: %s", got, err, &log)
	}
}
