package mongo

import (
	"cmp"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Options say where the database is.
//
// What the URL does not say is: connectTimeoutMS and serverSelectionTimeoutMS 5 s, the latter for as long as a call waits
// for a primary to be found or elected; timeoutMS, a whole call with all its tries, 10 s; maxPoolSize 64 connections, of
// which up to maxConnecting 8 are made at a time; appName tiffin. Retryable writes are off: on a replica set they may
// be turned on by retryWrites=true, where each then costs the server a second write, and spares few calls an
// ErrUnknown. Concerns and read preference are this package's, whatever the URL says.
type Options struct {
	URL      string // mongodb://[user:password@]host[:port][,host...][/database][?replicaSet=name&tls=true&...]
	Database string // the database's name; empty: the one in the URL
	MaxPool  int    // connections to each server; 0: as the URL says
	Log      *slog.Logger
	ReadOnly bool // nothing is written; collections are not made either
}

// The defaults, see [Options].
const (
	connectTimeout = 5 * time.Second
	findTimeout    = 5 * time.Second
	callTimeout    = 10 * time.Second
	maxPool        = 64
	maxConnecting  = 8
)

// SettingError says which of the [Options] is wrong, and how a right one looks. It never holds a password.
type SettingError struct{ Setting, Reason, Form string }

func (e *SettingError) Error() string {
	return "mongodb: " + e.Setting + " is invalid: " + e.Reason + "; the form is " + e.Form
}

const (
	urlForm      = "mongodb://[user:password@]host[:port][,host...][/database][?replicaSet=name&tls=true], with %XX for what is special in user and password"
	databaseForm = "a name of up to 63 letters, digits, - and _"
)

// settings are the options as the driver wants them.
type settings struct {
	client   *options.ClientOptions
	database string
	timeout  time.Duration
}

var databaseName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

func (o Options) parse() (settings, error) {
	if o.URL == "" {
		return settings{}, &SettingError{"the URL", "it is empty", urlForm}
	}
	c := options.Client().ApplyURI(o.URL)
	if err := c.Validate(); err != nil {
		return settings{}, &SettingError{"the URL", withoutSecrets(err.Error(), o.URL), urlForm}
	}
	set := settings{client: c, database: cmp.Or(o.Database, databaseOf(o.URL)), timeout: callTimeout}
	if !databaseName.MatchString(set.database) {
		return settings{}, &SettingError{"the database", "it is " + cmp.Or(set.database, "empty"), databaseForm}
	}
	if c.Timeout != nil && *c.Timeout > 0 {
		set.timeout = *c.Timeout
	}
	if c.ConnectTimeout == nil {
		c.SetConnectTimeout(connectTimeout)
	}
	if c.ServerSelectionTimeout == nil {
		c.SetServerSelectionTimeout(findTimeout)
	}
	if o.MaxPool > 0 {
		c.SetMaxPoolSize(uint64(o.MaxPool))
	} else if c.MaxPoolSize == nil {
		c.SetMaxPoolSize(maxPool)
	}
	if c.MaxConnecting == nil {
		c.SetMaxConnecting(maxConnecting)
	}
	if c.AppName == nil {
		c.SetAppName("tiffin")
	}
	if c.RetryWrites == nil {
		c.SetRetryWrites(false)
	}
	journal := true
	c.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	c.SetReadConcern(readconcern.Majority()).SetReadPreference(readpref.Primary())
	return set, nil
}

// databaseOf is the database that a valid URL names.
func databaseOf(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	rest, _, _ = strings.Cut(rest, "?")
	_, name, _ := strings.Cut(rest, "/")
	return name
}

// withoutSecrets is the driver's complaint about a URL without the part of it that may hold a password, however it is
// written.
func withoutSecrets(reason, u string) string {
	_, rest, found := strings.Cut(u, "://")
	if !found {
		rest = u
	}
	secrets := []string{u, rest}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user := rest[:at]
		_, password, _ := strings.Cut(user, ":")
		secrets = append(secrets, user, password)
		for _, part := range strings.FieldsFunc(password, func(r rune) bool { return strings.ContainsRune("/:@?%&#", r) }) {
			if len(part) > 2 { // the driver quotes what it stumbles over
				secrets = append(secrets, part)
			}
		}
	}
	for _, s := range secrets {
		for _, form := range []string{s, unescaped(s)} {
			if form != "" {
				reason = strings.ReplaceAll(reason, form, "...")
			}
		}
	}
	return reason
}

func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
