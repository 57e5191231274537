package engines

import "context"

var redisServer = source{
	name:    "redis-server",
	here:    hasProgram("redis-server"),
	install: apt("redis-server"),
	lay: func(_ context.Context, s *Server) error {
		path, err := program("redis-server")
		if err != nil {
			return err
		}
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		s.url = "redis://" + local(ports[0])
		return s.run("redis", &process{argv: []string{
			path, "--bind", "127.0.0.1", "--port", ports[0], "--save", "", "--appendonly", "no", "--databases", "256",
		}})
	},
}
