package serve_test

import (
	"context"

	"sallyport/cli"
	"sallyport/serve"
)

func init() { //nolint:gochecknoinits // the one way by which tests inside the package reach what imports it
	serve.Commands.Run = func(ctx context.Context, m *serve.Main, args []string) error {
		return (&cli.Main{Stdin: m.Stdin, Stdout: m.Stdout, Stderr: m.Stderr, Getenv: m.Getenv}).Run(ctx, args)
	}
	serve.Commands.Execute, serve.Commands.Found, serve.Commands.ExitCode = cli.Execute, cli.ErrFound, cli.ExitCode
}
