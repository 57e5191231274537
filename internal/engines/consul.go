package engines

import (
	"context"
	"os"
	"path/filepath"
)

var consul = source{
	name:    "consul",
	here:    consulTool.here,
	install: consulTool.install,
	lay: func(_ context.Context, s *Server) error {
		path, err := consulTool.path()
		if err != nil {
			return err
		}
		ports, err := freePorts(3)
		if err != nil {
			return err
		}
		s.url = "http://" + local(ports[0])
		p := &process{}
		if err := s.run("consul", p); err != nil {
			return err
		}
		config := filepath.Join(p.folder, "config.json")
		p.argv = []string{
			path, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", "-config-file=" + config,
			"-http-port=" + ports[0], "-server-port=" + ports[1], "-serf-lan-port=" + ports[2], "-serf-wan-port=-1",
			"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
		}
		return os.WriteFile(config, []byte(`{"disable_update_check": true, "advertise_addr": "127.0.0.1"}`), 0o600)
	},
}
