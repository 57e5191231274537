package engines

import "context"

var jaeger = source{
	name:    "jaeger-all-in-one",
	here:    jaegerTool.here,
	install: jaegerTool.install,
	lay: func(_ context.Context, s *Server) error {
		path, err := jaegerTool.path()
		if err != nil {
			return err
		}
		ports, err := freePorts(7)
		if err != nil {
			return err
		}
		s.url, s.side = "http://"+local(ports[0]), "http://"+local(ports[1])
		argv := []string{path, "--log-level=warn"}
		for i, door := range []string{ // all of them would listen to the world
			"query.http-server", "collector.otlp.http", "collector.otlp.grpc", "query.grpc-server",
			"admin.http", "collector.http-server", "collector.grpc-server",
		} {
			argv = append(argv, "--"+door+".host-port="+local(ports[i]))
		}
		return s.run("jaeger", &process{argv: argv})
	},
}
