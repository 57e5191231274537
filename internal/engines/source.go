package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrMissing is what errors are where no server of a kind is to be had.
var ErrMissing = errors.New("not to be had here")

// source is one way to have a server.
type source struct {
	name    string
	here    func(context.Context) error                       // nil, or what is missing
	install func(ctx context.Context, say func(string)) error // after which it is here; it says what takes long. nil: by hand only
	lay     func(context.Context, *Server) error              // lays out a server: its ports, its parts, its addresses
}

// sources are the ways to have a server, the best first.
func sources(k Kind) []source {
	switch k {
	case RabbitMQ:
		return []source{rabbitMQ, dockerRabbitMQ}
	case MongoDB:
		return []source{mongod, dockerMongoDB, ferretDB} // what imitates MongoDB comes last
	case PostgreSQL:
		return []source{postgreSQL, dockerPostgreSQL}
	case Redis:
		return []source{redisServer, dockerRedis}
	case Consul:
		return []source{consul, dockerConsul}
	case Jaeger:
		return []source{jaeger, dockerJaeger}
	}
	return nil
}

// choose takes the best source that is here. Where none is, and say is not nil, it installs one.
func choose(ctx context.Context, k Kind, say func(string)) (source, error) {
	var missing []string
	for _, src := range sources(k) {
		err := src.here(ctx)
		if err == nil {
			return src, nil
		}
		missing = append(missing, err.Error())
	}
	for _, src := range sources(k) {
		if say == nil || src.install == nil {
			continue
		}
		err := src.install(ctx, say)
		if err == nil {
			err = src.here(ctx)
		}
		if err == nil {
			return src, nil
		}
		missing = append(missing, err.Error())
	}
	return source{}, fmt.Errorf("%s is %w: %s", k, ErrMissing, strings.Join(missing, "; "))
}

// program finds a program on the PATH or in the folders, which may be patterns; of several that match, the last is
// taken, which is that of the newest version.
func program(name string, folders ...string) (string, error) {
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil {
			return "", err
		}
		slices.SortFunc(found, func(a, b string) int { // 9 before 10
			if len(a) != len(b) {
				return len(a) - len(b)
			}
			return strings.Compare(a, b)
		})
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed", name)
	}
	return path, nil
}

// hasProgram is a source's here where only a program is asked for.
func hasProgram(name string, folders ...string) func(context.Context) error {
	return func(context.Context) error {
		_, err := program(name, folders...)
		return err
	}
}

// unprivileged is the user for a program that refuses to run as root: nil where we are not root.
func unprivileged(name string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil is exec's word for ourselves
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
