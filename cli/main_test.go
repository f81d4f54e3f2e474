package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/klog/v2"

	"sallyport/api"
	"sallyport/serve"
)

// TestMain lets scripts run this very program as the command sallyport, and a serve of theirs start the process that keeps its history.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serve.HistoryStore {
		os.Exit(Execute())
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // as runMain does
	testscript.Main(m, map[string]func(){"sallyport": func() { os.Exit(Execute()) }})
}

// TestScripts runs the commands the way a person does: each file in testdata is a session, with what it prints.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "", // writes what cmp saw into the scripts; read the diff
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"waitfor":  waitFor,
			"proposal": proposal,
		},
		Setup: func(env *testscript.Env) error {
			example, err := os.ReadFile("../examples/sallyport.yaml")
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(env.WorkDir+"/example.yaml", example, 0o600), fillHashes(env.WorkDir+"/people.yaml"))
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

// fillHashes puts the hash of "correct horse" where a script's configuration says HASH.
func fillHashes(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	hash, err2 := api.HashPassword([]byte("correct horse"), rand.Reader)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(text, []byte("HASH"), []byte(strconv.Quote(string(hash)))), 0o600)
}

// waitFor waits until a file is there.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has not come", args[0])
		}
	}
}

// proposal keeps the id of the last output's first proposal in $PROPOSAL.
func proposal(ts *testscript.TestScript, _ bool, _ []string) {
	lines := strings.Split(ts.ReadFile("stdout"), "\n")
	if len(lines) < 2 {
		ts.Fatalf("no proposal in the output")
	}
	ts.Setenv("PROPOSAL", strings.Fields(lines[1])[0])
}
