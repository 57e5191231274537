package engines

import (
	"context"
	"os"
	"path/filepath"
)

var mongod = source{
	name:    "mongod",
	here:    hasProgram("mongod"),
	install: apt("mongodb-org-server"), // where MongoDB's own packages are known; Debian has none
	lay: func(_ context.Context, s *Server) error {
		path, err := program("mongod")
		if err != nil {
			return err
		}
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		s.url = "mongodb://" + local(ports[0]) + "/"
		p := &process{}
		if err := s.run("mongod", p); err != nil {
			return err
		}
		data := filepath.Join(p.folder, "data")
		p.argv = []string{path, "--dbpath", data, "--bind_ip", "127.0.0.1", "--port", ports[0], "--nounixsocket"}
		return os.Mkdir(data, 0o700)
	},
}

// ferretDB speaks MongoDB's protocol over a PostgreSQL of its own. One at a time makes its updates atomic.
var ferretDB = source{
	name: "FerretDB over postgres",
	here: func(ctx context.Context) error {
		if err := ferretDBTool.here(ctx); err != nil {
			return err
		}
		return postgreSQL.here(ctx)
	},
	install: func(ctx context.Context, say func(string)) error {
		if postgreSQL.here(ctx) != nil {
			if err := postgreSQL.install(ctx, say); err != nil {
				return err
			}
		}
		return ferretDBTool.install(ctx, say)
	},
	lay: func(ctx context.Context, s *Server) error {
		path, err := ferretDBTool.path()
		if err != nil {
			return err
		}
		ports, err := freePorts(3)
		if err != nil {
			return err
		}
		front, behind, below := ports[0], ports[1], ports[2]
		s.url = "mongodb://" + local(front) + "/"
		pg := "postgres://postgres@" + local(below) + "/postgres?sslmode=disable"
		if err := runPostgreSQL(ctx, s, below, func(ctx context.Context) error {
			_, err := probe(ctx, PostgreSQL, pg)
			return err
		}); err != nil {
			return err
		}
		p := &process{ready: func(ctx context.Context) error {
			_, err := probe(ctx, MongoDB, "mongodb://"+local(behind)+"/")
			return err
		}}
		if err := s.run("ferretdb", p); err != nil {
			return err
		}
		p.argv = []string{
			path, "--handler=postgresql", "--postgresql-url=" + pg, "--listen-addr=" + local(behind),
			"--debug-addr=-", "--state-dir=" + p.folder, "--telemetry=disable", "--log-level=error",
		}
		s.parts = append(s.parts, &oneAtATime{listen: local(front), behind: local(behind)})
		return nil
	},
}
