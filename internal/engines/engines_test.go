package engines

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main{M: m}) }

// memory writes something that a server must remember, and says whether it does.
type memory struct {
	write func(ctx context.Context, url string) error
	read  func(ctx context.Context, url string) (remembers bool, err error)
	lasts bool // over a kill
}

// TestServersComeBack: what was acknowledged is there after a kill -9 where the server promises it, and the port is
// the same; what is stopped leaves no process and no folder.
func TestServersComeBack(t *testing.T) {
	for kind, m := range map[Kind]memory{
		RabbitMQ:   {declareQueue, hasQueue, true},
		MongoDB:    {insertDocument, hasDocument, true},
		PostgreSQL: {insertRow, hasRow, true},
		Redis:      {setKey, hasKey, false},
		Consul:     {putValue, hasValue, false},
		Jaeger:     {},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := Private(t, kind)
			url := s.URL()
			if m.write != nil {
				if err := m.write(ctx, url); err != nil {
					t.Fatalf("writing: %v", err)
				}
				if ok, err := m.read(ctx, url); err != nil || !ok {
					t.Fatalf("it remembers %t, %v", ok, err)
				}
			}
			killed := pids(t, s)
			if err := s.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			mustBeGone(t, killed)
			if v, err := Version(ctx, kind, url); err == nil {
				t.Errorf("killed, it says it is %s", v)
			}
			if err := s.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if s.URL() != url {
				t.Errorf("it came back at %s, and was at %s", s.URL(), url)
			}
			if m.read != nil {
				if ok, err := m.read(ctx, url); err != nil || ok != m.lasts {
					t.Errorf("after a kill it remembers: %t, %v; want %t", ok, err, m.lasts)
				}
			}
			stopped := pids(t, s)
			for range 2 {
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			mustBeGone(t, stopped)
			if _, err := os.Stat(s.folder); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its folder stays: %v", err)
			}
		})
	}
}

// pids are those of all that the server consists of and starts, as far as it says.
func pids(t *testing.T, s *Server) []int {
	t.Helper()
	var all []int
	for _, p := range s.parts {
		p, ok := p.(*process)
		if !ok {
			continue
		}
		pid, err := p.pid()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid, p.cmd.Process.Pid)
	}
	return all
}

func mustBeGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the process %d is there: %v", pid, err)
		}
	}
}

// TestOwnerEnds: a server whose owner ends without a word goes, and so does its folder.
func TestOwnerEnds(t *testing.T) {
	s := Private(t, Redis)
	p, ok := s.parts[0].(*process)
	if !ok {
		t.Fatal("Redis is not a process")
	}
	if err := p.hold.Close(); err != nil { // as the kernel does for a process that ends
		t.Fatal(err)
	}
	<-p.gone
	if _, err := os.Stat(s.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder stays: %v", err)
	}
}

// TestNotStarted: the error has the program's own words.
func TestNotStarted(t *testing.T) {
	folder := t.TempDir()
	s := &Server{kind: Redis, folder: filepath.Join(folder, "server"), url: "redis://127.0.0.1:1"}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.run("broken", &process{argv: []string{"/bin/sh", "-c", "echo no memory for you >&2; exit 3"}}); err != nil {
		t.Fatal(err)
	}
	err := s.Start(t.Context())
	if !errors.Is(err, errGone) || !strings.Contains(err.Error(), "no memory for you") {
		t.Errorf("Start: %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// TestPlaces: two places on one server know nothing of each other.
func TestPlaces(t *testing.T) {
	for kind, m := range map[Kind]memory{
		RabbitMQ:   {declareQueue, hasQueue, true},
		MongoDB:    {insertDocument, hasDocument, true},
		PostgreSQL: {insertRow, hasRow, true},
		Redis:      {setKey, hasKey, false},
	} {
		t.Run(string(kind), func(t *testing.T) {
			if kind == RabbitMQ && Side(t, kind) == "" {
				t.Skip("the broker that the environment names has one place only")
			}
			ours, theirs := Place(t, kind), Place(t, kind)
			if err := m.write(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
			if ok, err := m.read(t.Context(), ours); err != nil || !ok {
				t.Errorf("it is not where it was written: %t, %v", ok, err)
			}
			if ok, err := m.read(t.Context(), theirs); err != nil || ok {
				t.Errorf("it is where it was not written: %t, %v", ok, err)
			}
		})
	}
}

func channel(url string, use func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = use(ch)
	}
	return errors.Join(err, conn.Close())
}

func declareQueue(ctx context.Context, url string) error {
	return channel(url, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("lasting", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		if err != nil {
			return err
		}
		if err := ch.Confirm(false); err != nil {
			return err
		}
		sent, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "lasting", true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("remember")})
		if err != nil {
			return err
		}
		_, err = sent.WaitContext(ctx)
		return err
	})
}

func hasQueue(_ context.Context, url string) (has bool, err error) {
	err = channel(url, func(ch *amqp.Channel) error {
		m, ok, err := ch.Get("lasting", false)
		has = ok && string(m.Body) == "remember"
		if refused := (*amqp.Error)(nil); errors.As(err, &refused) && refused.Code == amqp.NotFound {
			return nil
		}
		return err
	})
	return has, err
}

func database(ctx context.Context, at string, use func(*mongo.Collection) error) error {
	opts := options.Client().ApplyURI(at)
	client, err := mongo.Connect(opts)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(at[strings.LastIndex(at, "/"):], "/")
	if name == "" {
		name = "lasting"
	}
	return errors.Join(use(client.Database(name).Collection("lasting")), client.Disconnect(ctx))
}

func insertDocument(ctx context.Context, url string) error {
	return database(ctx, url, func(c *mongo.Collection) error {
		_, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: "remember"}})
		return err
	})
}

func hasDocument(ctx context.Context, url string) (has bool, err error) {
	err = database(ctx, url, func(c *mongo.Collection) error {
		n, err := c.CountDocuments(ctx, bson.D{{Key: "_id", Value: "remember"}})
		has = n == 1
		return err
	})
	return has, err
}

func insertRow(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE lasting AS SELECT 1 AS n")
	return errors.Join(err, conn.Close(ctx))
}

func hasRow(ctx context.Context, url string) (has bool, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false, err
	}
	err = conn.QueryRow(ctx, "SELECT to_regclass('lasting') IS NOT NULL").Scan(&has)
	return has, errors.Join(err, conn.Close(ctx))
}

func key(url string, use func(*redis.Client) error) error {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	client := redis.NewClient(opts)
	return errors.Join(use(client), client.Close())
}

func setKey(ctx context.Context, url string) error {
	return key(url, func(c *redis.Client) error { return c.Set(ctx, "lasting", "remember", 0).Err() })
}

func hasKey(ctx context.Context, url string) (has bool, err error) {
	err = key(url, func(c *redis.Client) error {
		n, err := c.Exists(ctx, "lasting").Result()
		has = n == 1
		return err
	})
	return has, err
}

func putValue(ctx context.Context, url string) error {
	return exchange(ctx, http.MethodPut, url+"/v1/kv/lasting", nil)
}

func hasValue(ctx context.Context, url string) (bool, error) {
	var keys []string
	err := getJSON(ctx, url+"/v1/kv/?keys", &keys)
	if err != nil && strings.Contains(err.Error(), "404") {
		return false, nil
	}
	return len(keys) == 1, err
}
