package cli

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sallyport/keys"
	"sallyport/serve"
)

// historyNice is the priority of that process: what it does can wait, and the queries that pass the gateway cannot.
const historyNice = 10

func (m *Main) historyStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:    serve.HistoryStore,
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
			return serve.OpenStoreOn(os.Stdin)
		},
	}
}
