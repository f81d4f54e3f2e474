package serve

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/klog/v2"
)

// Commands are those of package cli, which imports this one: commands_test.go, outside of it, hands them over.
var Commands struct {
	Run      func(ctx context.Context, m *Main, args []string) error
	Execute  func() int // this process as the program; its exit status
	Found    error      // of a command that found what it looked for
	ExitCode func(error) int
}

// Main is the program with everything that it takes from its surroundings, as cli.Main is.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Run executes one command line, without the program's name.
func (m *Main) Run(ctx context.Context, args []string) error { return Commands.Run(ctx, m, args) }

// errFound says that a command found what it looked for.
var errFound error

func exitCode(err error) int { return Commands.ExitCode(err) }

// passwordVariable is what people set.
const passwordVariable = "SALLYPORT_PASSWORD"

// TestMain lets tests run this very binary as the command sallyport, and a serve of theirs start the process that keeps its history.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == HistoryStore {
		os.Exit(Commands.Execute())
	}
	errFound = Commands.Found
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // as the program does
	testscript.Main(m, map[string]func(){"sallyport": func() { os.Exit(Commands.Execute()) }, forgetfulName: forgetful})
}
