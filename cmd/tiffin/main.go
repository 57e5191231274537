// Command tiffin is the whole of Tiffin: the system, its services, and the tools around it. Each subcommand has a
// file of its own here, which says what its flags are and hands over; the work is done in internal/.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/telemetry"
)

// version is set by the build.
var version = "dev"

// cli is the command line.
type cli struct {
	Config   kong.ConfigFlag `help:"Read settings from a JSON file: the flags' names and their values." type:"existingfile" placeholder:"FILE"`
	LogLevel string          `help:"How much to log: ${enum}." enum:"debug,info,warn,error" default:"warn"`
	LogJSON  bool            `help:"Log JSON lines instead of text." name:"log-json"`

	Up      upCmd      `cmd:"" help:"Run everything in one process, with simulated partners and demo data."`
	Serve   serveCmd   `cmd:"" help:"Run some services in this process, each on its own port."`
	Order   orderCmd   `cmd:"" help:"Place, read, follow and cancel orders."`
	Import  importCmd  `cmd:"" help:"Load restaurants and customers from a file."`
	Replay  replayCmd  `cmd:"" help:"Run a recorded day of a real delivery network through the public API."`
	Verify  verifyCmd  `cmd:"" help:"Check what must always hold over the stored data and the card company's ledger."`
	Sim     simCmd     `cmd:"" help:"Run the deterministic simulation with faults."`
	Bench   benchCmd   `cmd:"" help:"Measure complete orders per second."`
	Queue   queueCmd   `cmd:"" help:"Look at queues and dead letters, send messages, follow events."`
	Event   eventCmd   `cmd:"" help:"Send a status as another service would."`
	Cache   cacheCmd   `cmd:"" help:"Look at the copies in Redis, and clear them."`
	URLs    urlsCmd    `cmd:"" name:"urls" help:"The catalogue of service URLs."`
	Key     keyCmd     `cmd:"" help:"API keys of operators' programs, partners and services: make, list, revoke."`
	Account accountCmd `cmd:"" help:"Accounts of people: register, list, disable."`
	OpenAPI openapiCmd `cmd:"" name:"openapi" help:"Print a service's OpenAPI document."`
	Health  healthCmd  `cmd:"" help:"Ask a running system for its health."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what every command is given.
type env struct {
	ctx    context.Context
	out    io.Writer
	err    io.Writer
	log    *slog.Logger
	paint  console.Paint
	banner console.Paint // of what goes to err
}

// errSilent ends the program with status 1; all was said already.
var errSilent = errors.New("failed")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	var c cli
	parser, err := kong.New(&c,
		kong.Name("tiffin"),
		kong.Description("Food home delivery: an order is paid once, cooked once, delivered once; or cancelled and refunded once."),
		kong.DefaultEnvars("TIFFIN"),
		kong.Configuration(readSettings),
		kong.Resolvers(files{}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(out, errOut),
		kong.Vars{"version": version},
	)
	if err != nil {
		panic(err) // the program's own command line
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "tiffin:", err)
		var wrong *kong.ParseError
		if errors.As(err, &wrong) {
			_, _ = fmt.Fprintf(errOut, "Run `tiffin %s--help` for what is valid.\n", command(wrong.Context))
		}
		return 2
	}
	e := &env{ctx: ctx, out: out, err: errOut, log: c.logger(errOut), paint: console.NewPaint(out), banner: console.NewPaint(errOut)}
	switch err := parsed.Run(e); {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
		return 1
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 130
	default:
		_, _ = fmt.Fprintln(errOut, "tiffin:", err)
		if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusUnauthorized {
			_, _ = fmt.Fprintf(errOut, "Show a key with --token or --token-file; `tiffin up` keeps its operator's in %s of its data folder.\n", app.OperatorKeyFile)
		}
		return 1
	}
}

func command(c *kong.Context) string {
	if c == nil || c.Command() == "" {
		return ""
	}
	return c.Command() + " "
}

func (c *cli) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelWarn
	}
	opt := &slog.HandlerOptions{Level: level}
	if c.LogJSON {
		return slog.New(telemetry.Handler(slog.NewJSONHandler(w, opt)))
	}
	return slog.New(telemetry.Handler(slog.NewTextHandler(w, opt)))
}
