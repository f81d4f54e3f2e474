package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this very program as the command sallyport.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": func() {
		main := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
		err := main.Run(context.Background(), os.Args[1:])
		if err != nil && !errors.Is(err, errFound) {
			fmt.Fprintln(os.Stderr, "sallyport:", err)
		}
		os.Exit(exitCode(err))
	}})
}

// TestScripts runs the commands the way a person does: each file in testdata is a session, with what it prints.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "", // writes what cmp saw into the scripts; read the diff
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
		},
		Setup: func(env *testscript.Env) error {
			example, err := os.ReadFile("../../examples/sallyport.yaml")
			if err != nil {
				return err
			}
			return os.WriteFile(env.WorkDir+"/example.yaml", example, 0o600)
		},
	})
}

// exits runs a command and holds it to an exit status: exits 2 sallyport check.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var status interface{ ExitCode() int }
	if errors.As(err, &status) {
		got = status.ExitCode()
	}
	if want := args[0]; fmt.Sprint(got) != want {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}
