// Command sallyport stands in front of a PostgreSQL that holds customer data: serve runs the gateway, the other commands
// talk to a running serve, prepare a database for it, or show everything on this machine (demo).
//
// main does nothing but map errors to exit codes: 0 ok, 1 found something, 2 wrong usage, 3 failed. Whatever a command
// does with a running serve it does as a logged-in person of the configuration, never as the operating system's user.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"
)

func main() { os.Exit(runMain()) }

// runMain is main with the exit status as its result. The first interrupt ends what runs; a second one ends the program.
func runMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the ledger's library's: what it would say, the ledger says
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	err := m.Run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, errFound) {
		fmt.Fprintln(os.Stderr, "sallyport:", brief(err))
	}
	return exitCode(err)
}

// The exit codes of every command.
const (
	exitOK     = 0
	exitFound  = 1
	exitUsage  = 2
	exitFailed = 3
)

// errFound says that a command looked for something and found it; it has been printed.
var errFound = errors.New("found something")

// usageError says that the command line or the configuration is wrong: nothing was done.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef is a usageError in words.
func usagef(format string, args ...any) error { return &usageError{err: fmt.Errorf(format, args...)} }

// exitCode is the status with which the program ends after a command did.
func exitCode(err error) int {
	var usage *usageError
	var config *ConfigError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case errors.As(err, &usage), errors.As(err, &config):
		return exitUsage
	}
	return exitFailed
}
