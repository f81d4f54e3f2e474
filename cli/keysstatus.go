package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/keys"
	"sallyport/serve"
)

func (m *Main) keysStatusCommand() *cobra.Command {
	var follow bool
	f := controlFlags{m: m}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print which keys the data folder has, without opening them",
		Long: `Prints the provider and, for each tenant, join group and epoch, when its key was made and destroyed. Nothing is unwrapped, so that
it needs no key, and works beside a running serve; what it prints is what the file says, which serve checks when it starts.

With --as it also asks the running serve how far rotations are: rows done, rows and time left, and what is in the way. --follow goes on
until none is under way, a line each second.`,
		Example: "  sallyport keys status --data /var/lib/sallyport\n  sallyport keys status --data /var/lib/sallyport --as s050 --follow",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if follow && f.as == "" {
				return config.Usagef("nobody to ask the running serve as; expected --follow --as ID")
			}
			status, err := keys.Look(f.data)
			if errors.Is(err, keys.ErrNone) {
				return fmt.Errorf("look at keys: %w in %s; 'sallyport keys init' or 'sallyport protect' makes some", err, f.data)
			}
			if err != nil {
				return err
			}
			if f.as == "" {
				return m.printKeyStatus(status, nil, f.json)
			}
			return m.keysFollow(cmd.Context(), status, &f, follow)
		},
	}
	cmd.Flags().StringVar(&f.data, "data", "sallyport-data", "data `FOLDER`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&follow, "follow", false, "with --as: print how far rotations are until none is under way")
	f.logInFlags(cmd.Flags())
	return cmd
}

// printKeyStatus prints a ring, and rotations where serve was asked for them.
func (m *Main) printKeyStatus(status keys.Status, rotations []api.Rotation, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, struct {
			keys.Status
			Rotations []api.Rotation `json:"rotations,omitempty"`
		}{status, rotations})
	}
	if err := m.printKeys(status); err != nil {
		return err
	}
	return m.printRotations(rotations)
}

func (m *Main) printRotations(rotations []api.Rotation) error {
	for _, r := range rotations {
		if err := printLine(m.Stdout, "%s", serve.RotationLine(r)); err != nil {
			return err
		}
	}
	return nil
}

// followEvery is the time between two lines of progress.
const followEvery = time.Second

// keysFollow asks the running serve how far rotations are, once or until none is under way.
func (m *Main) keysFollow(ctx context.Context, status keys.Status, f *controlFlags, follow bool) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	serving, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if err := m.printKeyStatus(status, serving.Rotations, f.json); err != nil {
		return err
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for follow && slices.ContainsFunc(serving.Rotations, func(r api.Rotation) bool { return r.State != "done" }) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if serving, err = client.Status(ctx); err != nil {
			return err
		}
		if f.json {
			err = printJSON(m.Stdout, map[string]any{"rotations": serving.Rotations})
		} else {
			err = m.printRotations(serving.Rotations)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Main) printKeys(s keys.Status) error {
	provider := s.Provider
	if s.Quorum != nil {
		provider = fmt.Sprintf("a quorum of %d of %d shares (%s)", s.Quorum.Need, len(s.Quorum.Shares), shareNames(s.Quorum))
	}
	fmt.Fprintf(m.Stdout, "%s, wrapped by %s, change %d\n", s.File, provider, s.Serial)
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tGROUP\tEPOCH\tMADE\tSTATE")
	newest := map[[2]string]int{}
	for _, k := range s.Keys {
		at := [2]string{k.Tenant, k.Group}
		newest[at] = max(newest[at], k.Epoch)
	}
	for _, k := range s.Keys {
		group, state := k.Group, "makes and reads tokens"
		switch {
		case !k.Destroyed.IsZero():
			state = "destroyed " + k.Destroyed.Format(time.DateOnly)
		case group == "":
			group, state = "-", "digests of the record"
		case k.Epoch < newest[[2]string{k.Tenant, k.Group}]:
			state = "reads tokens"
		}
		if k.Own {
			state += ", names and texts by keys of their own"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", k.Tenant, group, k.Epoch, k.Made.Format(time.DateOnly), state)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
