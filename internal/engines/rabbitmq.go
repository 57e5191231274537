package engines

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var rabbitMQ = source{
	name:    "rabbitmq-server",
	here:    hasProgram("rabbitmq-server", rabbitFolders...),
	install: apt("rabbitmq-server"),
	lay:     layRabbitMQ,
}

// rabbitFolders come before the PATH, where Debian has a wrapper that changes the user.
var rabbitFolders = []string{"/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"}

func layRabbitMQ(_ context.Context, s *Server) error {
	path, err := program("rabbitmq-server", rabbitFolders...)
	if err != nil {
		return err
	}
	epmd, err := program("epmd", "/usr/lib/erlang/erts-*/bin")
	if err != nil {
		return err
	}
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	amqp, management, dist, names := ports[0], ports[1], ports[2], ports[3]
	s.url = "amqp://guest:guest@" + local(amqp) + "/"
	s.side = "http://guest:guest@" + local(management)

	// Erlang's name server stays behind where Erlang starts it: it is started before, in the program's own group.
	p := &process{argv: []string{"/bin/sh", "-c", `
epmd=$1
shift
"$epmd" -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
until "$epmd" -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
exec "$@"`, "rabbitmq-server", epmd, path}}
	if err := s.run("rabbitmq", p); err != nil {
		return err
	}
	p.settled = func(context.Context) error { return quorumNamesAreKept(p.folder) }
	in := func(name string) string { return filepath.Join(p.folder, name) }
	p.env = []string{
		"HOME=" + p.folder, // the cookie's place
		"RABBITMQ_NODENAME=tiffin@localhost",
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("data"),
		"RABBITMQ_LOG_BASE=" + in("logs"),
		"RABBITMQ_PID_FILE=" + in("erlang.pid"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_DIST_PORT=" + dist,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_EPMD_PORT=" + names,
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
		"RUNNING_UNDER_SYSTEMD=true", // no shell between us and Erlang, which would outlive a kill
	}
	config := []string{
		"listeners.tcp.1 = " + local(amqp),
		"management.tcp.ip = 127.0.0.1",
		"management.tcp.port = " + management,
		"loopback_users.guest = true",
		"vm_memory_high_watermark.absolute = 1GB",
		"disk_free_limit.absolute = 50MB",
		"raft.wal_max_size_bytes = 67108864",
		"log.file = false",
		"log.console = true",
		"log.console.level = warning",
	}
	if err := os.WriteFile(in("rabbitmq.conf"), []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(in("plugins"), []byte("[rabbitmq_management].\n"), 0o600)
}

// quorumNamesAreKept is an error while a kill -9 would cost a new quorum queue. RabbitMQ keeps which queue has which
// folder in a file that it writes up to two seconds later only; a queue that is not in there has no leader when the
// broker is back, and never gets one. That is RabbitMQ's flaw and of no interest to those who test what became of
// their messages.
func quorumNamesAreKept(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "data", "*", "quorum", "*", "names.dets"))
	if err != nil {
		return err
	}
	for _, file := range files {
		names, err := os.ReadFile(file) //nolint:gosec // in our folder
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(filepath.Dir(file))
		if err != nil {
			return err
		}
		for _, queue := range entries {
			if queue.IsDir() && !bytes.Contains(names, []byte(queue.Name())) {
				return fmt.Errorf("RabbitMQ has not written the name of the quorum queue %s", queue.Name())
			}
		}
	}
	return nil
}
