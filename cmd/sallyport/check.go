package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
)

// finding is one thing that would not work.
type finding struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

func (m *Main) checkCommand() *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what would not work, and why",
		Long: `Reads the configuration, tells everything that is wrong with it by file, line and column, and tries to reach the
database. Exit status 1 means that something would not work.`,
		Example: "  sallyport check --config sallyport.yaml",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return usagef("no configuration; expected 'sallyport check --config sallyport.yaml'")
			}
			findings, err := checkAll(cmd.Context(), config)
			if err != nil {
				return err
			}
			return m.printFindings(config, findings, asJSON)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (m *Main) printFindings(config string, findings []finding, asJSON bool) error {
	if asJSON {
		if err := printJSON(m.Stdout, map[string]any{"ok": len(findings) == 0, "findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(m.Stdout, "%s: %s\n", f.Where, f.What)
		}
		if len(findings) == 0 {
			fmt.Fprintf(m.Stdout, "%s: would work\n", config)
		}
	}
	if len(findings) > 0 {
		return errFound
	}
	return nil
}

// checkTimeout bounds each attempt to reach something.
const checkTimeout = 5 * time.Second

// checkAll looks at everything that serve will need.
func checkAll(ctx context.Context, path string) ([]finding, error) {
	config, err := LoadConfig(path)
	if wrong := (*ConfigError)(nil); errors.As(err, &wrong) {
		findings := make([]finding, len(wrong.Problems))
		for i, p := range wrong.Problems {
			findings[i] = finding{fmt.Sprintf("%s:%d:%d", path, max(p.at.line, 1), max(p.at.column, 1)), p.text}
		}
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	findings := []finding{}
	if address := config.Upstream.Address; address != "" {
		dialer := net.Dialer{Timeout: checkTimeout}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			findings = append(findings, finding{"upstream.address", fmt.Sprintf("%s cannot be reached: is PostgreSQL running there? (%v)", address, err)})
		} else {
			_ = conn.Close() // nothing was sent
		}
	}
	return findings, nil
}
