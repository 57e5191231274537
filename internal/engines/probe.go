package engines

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// probe asks a server for its version, in its own protocol: what answers that is ready.
func probe(ctx context.Context, k Kind, url string) (string, error) {
	switch k {
	case RabbitMQ:
		return probeRabbitMQ(ctx, url)
	case MongoDB:
		return probeMongoDB(ctx, url)
	case PostgreSQL:
		return probePostgreSQL(ctx, url)
	case Redis:
		return probeRedis(ctx, url)
	case Consul:
		return probeConsul(ctx, url)
	case Jaeger:
		return "", getJSON(ctx, url+"/api/services", &struct{}{})
	}
	return "", fmt.Errorf("unknown kind of server %q", k)
}

func probeRabbitMQ(ctx context.Context, url string) (string, error) {
	dialer := net.Dialer{}
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if deadline, ok := ctx.Deadline(); ok && err == nil {
			err = c.SetDeadline(deadline) // the driver takes it off when the connection is open
		}
		return c, err
	}})
	if err != nil {
		return "", err
	}
	version, _ := conn.Properties["version"].(string)
	return version, conn.Close()
}

func probeMongoDB(ctx context.Context, url string) (_ string, err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(url).SetServerSelectionTimeout(time.Second))
	if err != nil {
		return "", err
	}
	defer func() {
		if e := client.Disconnect(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	var info struct {
		Version  string
		FerretDB string `bson:"ferretdbVersion"`
	}
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	if info.FerretDB != "" {
		info.Version = "FerretDB " + info.FerretDB
	}
	return info.Version, err
}

func probePostgreSQL(ctx context.Context, url string) (version string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	if e := conn.Close(ctx); err == nil {
		err = e
	}
	version, _, _ = strings.Cut(version, " ") // the distribution follows
	return version, err
}

func probeRedis(ctx context.Context, url string) (version string, err error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return "", err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, opts.Network, opts.Addr) // the driver would tell the world that it failed
	if err != nil {
		return "", err
	}
	_ = c.Close()
	client := redis.NewClient(opts)
	info, err := client.Info(ctx, "server").Result()
	if e := client.Close(); err == nil {
		err = e
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "redis_version:"); ok {
			version = v
		}
	}
	return version, err
}

func probeConsul(ctx context.Context, url string) (string, error) {
	var leader string
	if err := getJSON(ctx, url+"/v1/status/leader", &leader); err != nil {
		return "", err
	}
	if leader == "" {
		return "", fmt.Errorf("%s has no leader yet", url)
	}
	var self struct{ Config struct{ Version string } }
	err := getJSON(ctx, url+"/v1/agent/self", &self)
	return self.Config.Version, err
}

// getJSON leaves no connection behind.
func getJSON(ctx context.Context, url string, into any) error {
	return exchange(ctx, http.MethodGet, url, into)
}

func exchange(ctx context.Context, method, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, req.URL.Redacted(), resp.Status, body)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, req.URL.Redacted(), err)
	}
	return nil
}
