package engines

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

var postgreSQL = source{
	name:    "postgres",
	here:    hasProgram("initdb", postgresFolders...),
	install: apt("postgresql"),
	lay:     layPostgreSQL,
}

// postgresFolders are where distributions put what is not for everybody's PATH.
var postgresFolders = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
}

func layPostgreSQL(ctx context.Context, s *Server) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.url = "postgres://postgres@" + local(ports[0]) + "/postgres?sslmode=disable"
	return runPostgreSQL(ctx, s, ports[0], func(ctx context.Context) error {
		_, err := probe(ctx, PostgreSQL, s.url)
		return err
	})
}

// runPostgreSQL adds a new PostgreSQL to what the server consists of. What it commits is on the disk, as it ships;
// only its empty beginning is not waited for.
func runPostgreSQL(ctx context.Context, s *Server, port string, ready func(context.Context) error) error {
	initdb, err := program("initdb", postgresFolders...)
	if err != nil {
		return err
	}
	p := &process{ready: ready, end: "kill -s QUIT $server"} // at once, but it gives back its shared memory
	if p.user, err = unprivileged("postgres"); err != nil {
		return err
	}
	if err := s.run("postgres", p); err != nil {
		return err
	}
	data := filepath.Join(p.folder, "data")
	p.argv = []string{
		filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "",
		"-c", "max_connections=300", "-c", "dynamic_shared_memory_type=mmap",
	}
	//nolint:gosec // the program is ours to name
	cmd := exec.CommandContext(ctx, initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir = p.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}
