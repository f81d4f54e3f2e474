package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/history"
	"sallyport/history/apart"
	"sallyport/history/duck"
	"sallyport/keys"
)

// historyStore is the command that serve starts to keep history.
const historyStore = "history-store"

// historyNice is the priority of that process: what it does can wait, and the queries that pass the gateway cannot.
const historyNice = 10

func (m *Main) historyStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:    historyStore,
		Short:  "Keep history for serve, which starts this itself",
		Hidden: true,
		Args:   exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			signal.Ignore(os.Interrupt, unix.SIGTERM, unix.SIGHUP) // serve ends it, in order
			if err := keys.Harden(); err != nil {
				return err
			}
			if err := unix.Setpriority(unix.PRIO_PGRP, 0, historyNice); err != nil { // a group of its own: all its threads
				return fmt.Errorf("give way to serve: %w", err)
			}
			return openStoreOn(os.Stdin)
		},
	}
}

// openStoreOn serves a store over the socket that serve gave.
func openStoreOn(socket *os.File) error {
	conn, err := net.FileConn(socket)
	if err != nil {
		return usagef("%s is started by serve, and by nobody else", historyStore)
	}
	defer conn.Close()
	return apart.Serve(conn, openDuck)
}

// openDuck opens the history in DuckDB that serve has named.
func openDuck(o apart.Opening) (history.Store, error) {
	names, err := history.OpenNames(filepath.Join(o.Folder, pseudonymKey))
	if err != nil {
		return nil, err
	}
	names.Service = func(who sallyport.Staff) bool { return slices.Contains(o.Programs, who) }
	memory := cmp.Or(o.Memory, defaultHistoryMemory)
	keepWithin(memory)
	store, err := duck.Open(o.Folder, duck.Options{
		Record: o.Record, Names: names, Memory: duckMemory(memory),
		Tells: func(c sallyport.Column) bool { return slices.Contains(o.Tells, c.String()) },
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}
