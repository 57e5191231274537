package engines

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Place is the URL of an empty place of the test's own on the server that URL names: a database (PostgreSQL, MongoDB),
// a vhost (RabbitMQ), a numbered database (Redis). It goes when the test ends, with all that is in it.
//
// A RabbitMQ that the environment names without its management API has but the one place that it names. Consul and
// Jaeger have none at all; there the test takes names that nobody else uses.
func Place(t testing.TB, k Kind) string {
	t.Helper()
	at, side := addresses(t, k)
	name := "tiffin_" + strings.ToLower(rand.Text()[:12])
	var place string
	var leave func(context.Context) error
	var err error
	switch k {
	case PostgreSQL:
		place, leave, err = placePostgreSQL(t.Context(), at, name)
	case MongoDB:
		place, leave, err = placeMongoDB(at, name)
	case Redis:
		place, leave, err = placeRedis(t.Context(), at)
	case RabbitMQ:
		place, leave, err = placeRabbitMQ(t.Context(), at, side, name)
	case Consul, Jaeger:
		return at
	}
	if err != nil {
		t.Fatalf("a place on %s: %v", k, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := leave(ctx); err != nil {
			t.Errorf("leaving the place on %s: %v", k, err)
		}
	})
	return place
}

// withPath is the URL with another path.
func withPath(at, name string) (string, error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func placePostgreSQL(ctx context.Context, at, name string) (string, func(context.Context) error, error) {
	place, err := withPath(at, name)
	if err != nil {
		return "", nil, err
	}
	do := func(ctx context.Context, sql string) error {
		conn, err := pgx.Connect(ctx, at)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, sql)
		if e := conn.Close(ctx); err == nil {
			err = e
		}
		return err
	}
	return place, func(ctx context.Context) error { return do(ctx, "DROP DATABASE "+name+" WITH (FORCE)") },
		do(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

func placeMongoDB(at, name string) (string, func(context.Context) error, error) {
	place, err := withPath(at, name)
	return place, func(ctx context.Context) error {
		client, err := mongo.Connect(options.Client().ApplyURI(at))
		if err != nil {
			return err
		}
		err = client.Database(name).Drop(ctx)
		if e := client.Disconnect(ctx); err == nil {
			err = e
		}
		return err
	}, err
}

// placeRabbitMQ makes a vhost, which its maker may use.
func placeRabbitMQ(ctx context.Context, at, side, name string) (string, func(context.Context) error, error) {
	if side == "" {
		return at, func(context.Context) error { return nil }, nil
	}
	place, err := withPath(at, name)
	if err != nil {
		return "", nil, err
	}
	do := func(ctx context.Context, method string) error {
		return exchange(ctx, method, side+"/api/vhosts/"+name, nil)
	}
	return place, func(ctx context.Context) error { return do(ctx, http.MethodDelete) }, do(ctx, http.MethodPut)
}

// placeRedis takes one of the numbered databases in which there is nothing. Who has which stands in the database 0,
// for an hour, should a test never come to leave.
func placeRedis(ctx context.Context, at string) (_ string, leave func(context.Context) error, err error) {
	opts, err := redis.ParseURL(at)
	if err != nil {
		return "", nil, err
	}
	opts.DB = 0
	register := redis.NewClient(opts)
	defer register.Close() //nolint:errcheck // nothing is lost
	config, err := register.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return "", nil, err
	}
	count, err := strconv.Atoi(config["databases"])
	if err != nil || count < 2 {
		return "", nil, fmt.Errorf("the server has %q databases", config["databases"])
	}
	first, err := rand.Int(rand.Reader, big.NewInt(int64(count)))
	if err != nil {
		return "", nil, err
	}
	for i := range count {
		db := (i + int(first.Int64())) % count
		if db == 0 {
			continue
		}
		mine := *opts
		mine.DB = db
		key := "tiffin-test-database-" + strconv.Itoa(db)
		empty, err := takeRedis(ctx, register, &mine, key)
		if err != nil {
			return "", nil, err
		}
		if !empty {
			continue
		}
		place, err := withPath(at, strconv.Itoa(db))
		return place, func(ctx context.Context) error { return leaveRedis(ctx, opts, &mine, key) }, err
	}
	return "", nil, fmt.Errorf("none of %d databases is free", count)
}

// takeRedis says whether the database is ours now: nobody else's, and empty.
func takeRedis(ctx context.Context, register *redis.Client, mine *redis.Options, key string) (bool, error) {
	if free, err := register.SetNX(ctx, key, "taken", time.Hour).Result(); err != nil || !free {
		return false, err
	}
	client := redis.NewClient(mine)
	defer client.Close() //nolint:errcheck // nothing is lost
	size, err := client.DBSize(ctx).Result()
	if err == nil && size == 0 {
		return true, nil
	}
	if e := register.Del(ctx, key).Err(); err == nil {
		err = e
	}
	return false, err
}

func leaveRedis(ctx context.Context, register, mine *redis.Options, key string) error {
	client := redis.NewClient(mine)
	err := client.FlushDB(ctx).Err()
	if e := client.Close(); err == nil {
		err = e
	}
	client = redis.NewClient(register)
	if e := client.Del(ctx, key).Err(); err == nil {
		err = e
	}
	if e := client.Close(); err == nil {
		err = e
	}
	return err
}
