package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Times that only the machines around decide, whatever clock the program runs on.
const (
	connectTimeout = 5 * time.Second
	maxIdle        = 5 * time.Minute
	maxLife        = time.Hour
	lifeJitter     = 10 * time.Minute
	pingAfter      = time.Second // how long a connection is idle for it to be tried before it is used
	pingTimeout    = 2 * time.Second
)

// settings are a connection's, where the URL does not say otherwise.
//
// Every statement here has one right plan at any size: along the index of ids or of dues. The planner is kept from
// others, which it may find cheaper while a table is small or its statistics are old, and from planning each time.
var settings = map[string]string{
	"application_name":                    "tiffin",
	"client_encoding":                     "UTF8",
	"statement_timeout":                   "10s",
	"lock_timeout":                        "5s",
	"idle_in_transaction_session_timeout": "30s",
	"default_transaction_isolation":       "read committed",
	"plan_cache_mode":                     "force_generic_plan",
	"enable_seqscan":                      "off",
	"enable_bitmapscan":                   "off",
	"jit":                                 "off",
}

// syncCommit makes a commit wait for the disk where the user's or the database's settings would not. Every other
// value but off does, and says how far standbys are waited for: that is the operator's.
const syncCommit = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"

// form is what a URL should look like.
const form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full (what is special in a password is written %XX)"

// configure makes the pool's configuration of a URL. The error never quotes the URL: what is wrong with it may be
// that its password is in the wrong place.
func (db *DB) configure(opt Options) (*pgxpool.Config, error) {
	if !strings.HasPrefix(opt.URL, "postgres://") && !strings.HasPrefix(opt.URL, "postgresql://") {
		return nil, fmt.Errorf("PostgreSQL URL: it does not begin with postgres://; it must have the form %s", form)
	}
	config, err := pgxpool.ParseConfig(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL URL: a part of it cannot be understood; it must have the form %s", form) // the cause may hold the password
	}
	conn := config.ConnConfig
	for name, value := range settings {
		if conn.RuntimeParams[name] == "" {
			conn.RuntimeParams[name] = value
		}
	}
	if opt.ReadOnly {
		conn.RuntimeParams["default_transaction_read_only"] = "on"
	}
	if conn.ConnectTimeout <= 0 || conn.ConnectTimeout > time.Minute { // the driver's own default is two minutes
		conn.ConnectTimeout = connectTimeout
	}
	dial := conn.DialFunc
	conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wire{Conn: c, sent: &db.sent}, nil
	}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, syncCommit)
		return err
	}
	config.MaxConns = int32(opt.MaxConns)
	if opt.MaxConns == 0 {
		config.MaxConns = DefaultMaxConns
	}
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = maxLife, lifeJitter
	config.MaxConnIdleTime, config.PingTimeout = maxIdle, pingTimeout
	config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > pingAfter || time.Now().Add(-p.IdleDuration).UnixNano() <= db.lossAt.Load()
	}
	return config, nil
}

// wire counts what is sent: the driver writes once for each round trip.
type wire struct {
	net.Conn
	sent *atomic.Uint64
}

func (w wire) Write(b []byte) (int, error) {
	w.sent.Add(1)
	return w.Conn.Write(b)
}

// address is where the servers of the URL are.
func address(config *pgx.ConnConfig) string {
	hosts := map[string]bool{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))): true}
	for _, f := range config.Fallbacks {
		hosts[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(hosts)), ", ")
}

// unconnected is the error where no connection was to be had, and whether it may pass.
func (db *DB) unconnected(err error) (fate, error) {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && !passing[failure.Code] {
		return failed, fmt.Errorf("PostgreSQL at %s: %w", db.where, failure)
	}
	if _, tried := errors.AsType[*pgconn.ConnectError](err); !tried && errors.Is(err, context.DeadlineExceeded) {
		return failed, fmt.Errorf("PostgreSQL at %s: %w: no connection was free or made within %s", db.where, ErrAway, db.patience)
	}
	return again, fmt.Errorf("PostgreSQL at %s: %w: %s", db.where, ErrAway, reasons(err))
}

// reasons is the driver's message on one line, which has one for every address and way of connecting.
func reasons(err error) string {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = connect.Unwrap()
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
