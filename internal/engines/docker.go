package engines

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// The images. Where Docker answers, they stand in for what is not installed.
var (
	dockerRabbitMQ = docker("rabbitmq:4-management", []string{"5672", "15672"}, func(s *Server, at []string) []string {
		s.url, s.side = "amqp://guest:guest@"+at[0]+"/", "http://guest:guest@"+at[1]
		return nil
	})
	dockerMongoDB = docker("mongo:8", []string{"27017"}, func(s *Server, at []string) []string {
		s.url = "mongodb://" + at[0] + "/"
		return nil
	})
	dockerPostgreSQL = docker("postgres:17", []string{"5432"}, func(s *Server, at []string) []string {
		s.url = "postgres://postgres@" + at[0] + "/postgres?sslmode=disable"
		return []string{"-c", "max_connections=300"}
	}, "--env=POSTGRES_HOST_AUTH_METHOD=trust")
	dockerRedis = docker("redis:7", []string{"6379"}, func(s *Server, at []string) []string {
		s.url = "redis://" + at[0]
		return []string{"redis-server", "--save", "", "--appendonly", "no", "--databases", "256"}
	})
	dockerConsul = docker("hashicorp/consul:1.20", []string{"8500"}, func(s *Server, at []string) []string {
		s.url = "http://" + at[0]
		return []string{"agent", "-dev", "-client=0.0.0.0"}
	})
	dockerJaeger = docker("jaegertracing/all-in-one:1.76.0", []string{"16686", "4318"}, func(s *Server, at []string) []string {
		s.url, s.side = "http://"+at[0], "http://"+at[1]
		return nil
	})
)

// docker runs an image with the ports published at free ones of 127.0.0.1. What is told where they are gives the
// server its addresses, and returns what follows the image on the command line.
func docker(image string, inner []string, tell func(s *Server, at []string) []string, options ...string) source {
	return source{
		name: "Docker's " + image,
		here: func(ctx context.Context) error {
			if err := dockerAnswers(ctx); err != nil {
				return err
			}
			if exec.CommandContext(ctx, "docker", "image", "inspect", image).Run() != nil { //nolint:gosec // ours
				return fmt.Errorf("docker has no image %s", image)
			}
			return nil
		},
		install: func(ctx context.Context, say func(string)) error {
			if err := dockerAnswers(ctx); err != nil {
				return err
			}
			say("fetching Docker's " + image + ", once")
			if out, err := exec.CommandContext(ctx, "docker", "pull", "--quiet", image).CombinedOutput(); err != nil { //nolint:gosec // ours
				return fmt.Errorf("docker pull %s: %w: %s", image, err, out)
			}
			return nil
		},
		lay: func(_ context.Context, s *Server) error {
			ports, err := freePorts(len(inner))
			if err != nil {
				return err
			}
			name := strings.ToLower(filepath.Base(s.folder))
			run := append([]string{"run", "--name", name}, options...)
			var at []string
			for i, port := range ports {
				run = append(run, "--publish", local(port)+":"+inner[i])
				at = append(at, local(port))
			}
			run = append(append(run, image), tell(s, at)...)
			// A container that was killed is started again, with its data.
			return s.run("docker", &process{
				argv: append([]string{"/bin/sh", "-c", `
name=$1
shift
docker container inspect "$name" >/dev/null 2>&1 && exec docker start --attach "$name"
exec docker "$@"`, "docker", name}, run...),
				end:    "docker rm --force --volumes " + name + " >/dev/null",
				murder: []string{"docker", "kill", name},
			})
		},
	}
}

func dockerAnswers(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker does not answer (%w)", firstLine(err, out))
	}
	return nil
}

// firstLine is an error that says what the program said first, rather than its exit status.
func firstLine(err error, out []byte) error {
	if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); line != "" {
		return errors.New(line)
	}
	return err
}
