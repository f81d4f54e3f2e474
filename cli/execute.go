// Package cli is the command line of Sallyport: a file or more for each command, with what it prints. What the commands of a running serve do is in package
// serve, what they read in package config; the rest is the work of packages of their own.
//
// Exit codes: 0 ok, 1 found something, 2 wrong usage, 3 failed. Whatever a command does with a running serve it does as a logged-in person of the
// configuration, never as the operating system's user.
package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"

	"sallyport/config"
	"sallyport/serve"
)

// Execute is the program, from its arguments to the exit status. The first interrupt ends what runs; a second one ends the program.
func Execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the ledger's library's: what it would say, the ledger says
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	err := m.Run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, ErrFound) {
		fmt.Fprintln(os.Stderr, "sallyport:", serve.Brief(err))
	}
	return ExitCode(err)
}

// ErrFound says that a command looked for something and found it; it has been printed.
var ErrFound = errors.New("found something")

// ExitCode is the status with which the program ends after a command did.
func ExitCode(err error) int {
	var usage *config.UsageError
	var config *config.Error
	switch {
	case err == nil:
		return serve.ExitOK
	case errors.Is(err, ErrFound):
		return serve.ExitFound
	case errors.As(err, &usage), errors.As(err, &config):
		return serve.ExitUsage
	}
	return serve.ExitFailed
}
