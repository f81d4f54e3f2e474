package cli

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program/rotation"
	"sallyport/serve"
)

func (m *Main) programRotateCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "rotate --verify FILE",
		Short: "Draw who serves whom, so that nobody foresees or steers it and everybody can repeat it",
		Long: `First 'commit' puts on record a commitment to a plan and a secret, and names a beacon of later: a round of drand, or a checkpoint that a witness
cosigns. When its value is there, 'draw' makes the draw, puts it on record and writes everything into one file. Whoever has that file repeats the draw:

--verify FILE draws again from what stands in FILE and compares, byte for byte. It asks nobody. With --as, 'rotate check FILE' also holds it to the
record: that it was committed to before the beacon's time, and that nothing else was.

Exit status 0: it is that draw; 1: it is not; 2: wrong usage.`,
		Example: "  sallyport program rotate commit plan.yaml --at 2026-12-01T09:00:00Z --secret plan.secret --as s050\n  sallyport program rotate --verify plan.draw.json",
		Args:    exactly(0, "--verify FILE"),
	}
	asJSON := false
	cmd.Flags().StringVar(&file, "verify", "", "repeat the draw of `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		if file == "" {
			return config.Usagef("nothing to do; expected --verify FILE, or commit, draw, check or ls (see 'sallyport program rotate --help')")
		}
		_, result, err := m.verifyDraw(file)
		if err != nil {
			return err
		}
		return m.printDraw(result, asJSON)
	}
	cmd.AddCommand(m.rotateCommitCommand(), m.rotateDrawCommand(), m.rotateCheckCommand(), m.rotateListCommand())
	return cmd
}

// verifyDraw repeats a draw. That it is another one is what was looked for, and no mistake.
func (m *Main) verifyDraw(path string) (*rotation.Reveal, *rotation.Result, error) {
	b, err := config.ReadSmall(path)
	if err != nil {
		return nil, nil, err
	}
	reveal, result, err := rotation.Verify(b)
	if err != nil {
		if perr := printLine(m.Stdout, "%s: %v.", path, err); perr != nil {
			return nil, nil, perr
		}
		return nil, nil, ErrFound
	}
	return reveal, result, nil
}

func (m *Main) printDraw(r *rotation.Result, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, r)
	}
	handover := ""
	if r.Handover != "" {
		handover = ", handed over until " + r.Handover
	}
	fmt.Fprintf(m.Stdout, "%s from %s on%s\n", serve.Printable(r.Name), r.Start, handover)
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POST\tWHO\tUNTIL THEN\tNOTE")
	for _, a := range r.Posts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", serve.Printable(a.Post), serve.Printable(strings.Join(a.Who, ", ")), serve.Printable(listed(a.Before)), a.Stays)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if r.Wandered {
		return printLine(m.Stdout, "Rules leave so little here that it was exchanged until all assignments were as good as equally probable.")
	}
	return nil
}

// secretFile is what whoever committed keeps until the draw.
type secretFile struct {
	Name   string `json:"name"`
	Plan   string `json:"plan_sha256"`
	Beacon string `json:"beacon"`
	Secret string `json:"secret"`
}

func (m *Main) rotateCommitCommand() *cobra.Command {
	var at, witness, origin, secret string
	cmd := &cobra.Command{
		Use:   "commit PLAN",
		Short: "Put on record that a plan is to be drawn, by a secret and a beacon that nobody knows yet",
		Long: `The record gets a hash of the plan and of a fresh secret, and the beacon, but neither plan nor secret: nobody learns what is to be drawn, and whoever
commits can change nothing any more. By default the beacon is the first round of drand's quicknet at or after --at; with --witness and --origin it is the checkpoint
of that log that this witness cosigns then. Keep the file of the secret: without it, nothing can be drawn, and the record says so for ever.`,
		Example: "  sallyport program rotate commit plan.yaml --at 2026-12-01T09:00:00Z --secret plan.secret --as s050",
		Args:    exactly(1, "PLAN --at TIME --secret FILE --as ID"),
	}
	cmd.Flags().StringVar(&at, "at", "", "`TIME` from which on the beacon's value is known (RFC 3339)")
	cmd.Flags().StringVar(&secret, "secret", "", "write the secret into `FILE`, which must not exist")
	cmd.Flags().StringVar(&witness, "witness", "", "`KEY` of a witness, in place of drand")
	cmd.Flags().StringVar(&origin, "origin", "", "with --witness: `NAME` of the log whose checkpoint it is")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		plan, err := config.ReadSmall(args[0])
		if err != nil {
			return err
		}
		p, err := rotation.Read(plan)
		if err != nil {
			return config.Usagef("%s: %w", args[0], err)
		}
		when, err := time.Parse(time.RFC3339, at)
		if err != nil || secret == "" || (witness == "") != (origin == "") {
			return config.Usagef("expected --at 2026-12-01T09:00:00Z and --secret FILE, and --witness only together with --origin")
		}
		b := &rotation.Beacon{Round: rotation.RoundAt(when)}
		if witness != "" {
			b = &rotation.Beacon{Witness: witness, Origin: origin, NotBefore: when.UTC()}
			if _, err := rotation.ParseBeacon(b.String()); err != nil {
				return config.Usagef("%w", err)
			}
		}
		var own [32]byte
		_, _ = rand.Read(own[:]) // it never fails
		sum := sha256.Sum256(plan)
		if err := writeSecret(secret, &secretFile{p.Name, hex.EncodeToString(sum[:]), b.String(), hex.EncodeToString(own[:])}); err != nil {
			return err
		}
		commitment := rotation.Commit(plan, own, b)
		if err := c.CommitRotation(cmd.Context(), p.Name, hex.EncodeToString(commitment[:]), b.String()); err != nil {
			return errors.Join(err, os.Remove(secret))
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"name": p.Name, "commitment": hex.EncodeToString(commitment[:]), "beacon": b.String(), "due": b.Time()})
		}
		return printLine(m.Stdout, "Committed to %s: %x. Draw it from %s on, with the value of: %s", p.Name, commitment, b.Time().Format(time.RFC3339), b)
	})
}

// writeSecret keeps the secret before anything is on record that needs it.
func writeSecret(path string, s *secretFile) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // whoever runs the command names it
	if err != nil {
		return config.Usagef("keep the secret: %w", err)
	}
	err = json.NewEncoder(f).Encode(s) //nolint:gosec // that is what the file is for, mode 0600
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep the secret: %w", err)
	}
	return nil
}

func (m *Main) rotateDrawCommand() *cobra.Command {
	var secret, beacon, out string
	cmd := &cobra.Command{
		Use:   "draw PLAN",
		Short: "Draw what was committed to, put it on record, and write everything into a file for everybody",
		Long: `--beacon is the file with the value: what drand answers at https://api.drand.sh/52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971/public/ROUND, or
the checkpoint with the witness's line. Its signature is checked. Give the file of --out to everybody whom it concerns.`,
		Example: "  sallyport program rotate draw plan.yaml --secret plan.secret --beacon round.json --out plan.draw.json --as s050",
		Args:    exactly(1, "PLAN --secret FILE --beacon FILE --out FILE --as ID"),
	}
	cmd.Flags().StringVar(&secret, "secret", "", "`FILE` that commit wrote")
	cmd.Flags().StringVar(&beacon, "beacon", "", "`FILE` with the beacon's value")
	cmd.Flags().StringVar(&out, "out", "", "write the draw into `FILE`")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if secret == "" || beacon == "" || out == "" {
			return config.Usagef("expected --secret FILE, --beacon FILE and --out FILE")
		}
		reveal, result, err := drawFrom(args[0], secret, beacon)
		if err != nil {
			return err
		}
		text, err := reveal.Encode()
		if err != nil {
			return err
		}
		// The file first: what is on record must be there for everybody to repeat.
		if err := os.WriteFile(out, text, 0o644); err != nil { //nolint:gosec // it is for everybody
			return fmt.Errorf("write the draw: %w", err)
		}
		if err := c.DrawRotation(cmd.Context(), string(text)); err != nil {
			return err
		}
		return m.printDraw(result, f.json)
	})
}

func drawFrom(planPath, secretPath, beaconPath string) (*rotation.Reveal, *rotation.Result, error) {
	plan, err := config.ReadSmall(planPath)
	if err != nil {
		return nil, nil, err
	}
	kept, err := config.ReadSmall(secretPath)
	if err != nil {
		return nil, nil, err
	}
	proof, err := config.ReadSmall(beaconPath)
	if err != nil {
		return nil, nil, err
	}
	var s secretFile
	if err := json.Unmarshal(kept, &s); err != nil {
		return nil, nil, config.Usagef("%s is no file of 'program rotate commit': %w", secretPath, err)
	}
	if sum := sha256.Sum256(plan); hex.EncodeToString(sum[:]) != s.Plan {
		return nil, nil, config.Usagef("%s is not the plan that was committed to: not a byte of it may change", planPath)
	}
	b, err := rotation.ParseBeacon(s.Beacon)
	if err != nil {
		return nil, nil, config.Usagef("%s: %w", secretPath, err)
	}
	secret, err := rotation.ParseSecret(s.Secret)
	if err != nil {
		return nil, nil, config.Usagef("%s: %w", secretPath, err)
	}
	reveal, result, err := rotation.Make(plan, secret, b, proof)
	if errors.Is(err, rotation.ErrPlan) {
		err = config.Usagef("%w", err)
	}
	return reveal, result, err
}

func (m *Main) rotateCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "Repeat a draw, and hold it to the record: committed to in time, and the only one",
		Long:    "Besides what --verify does it finds: a draw that is not on record, one that was committed to when its beacon was known, and commitments of the same name that nobody drew.\nExit status 1: something was found.",
		Example: "  sallyport program rotate check plan.draw.json --as s051",
		Args:    exactly(1, "FILE --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		reveal, result, err := m.verifyDraw(args[0])
		if err != nil {
			return err
		}
		list, err := c.Rotations(cmd.Context())
		if err != nil {
			return err
		}
		found := api.AgainstDraw(reveal, result, list)
		if f.json {
			err = printJSON(m.Stdout, map[string]any{"result": result, "found": found})
		} else if err = m.printDraw(result, false); err == nil {
			for _, x := range found {
				err = errors.Join(err, printLine(m.Stdout, "Found: %s.", x))
			}
		}
		if err == nil && len(found) > 0 {
			return ErrFound
		}
		return err
	})
}

func (m *Main) rotateListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List what was committed to, what was drawn, and what never was",
		Long:    "Exit status 1: something was committed to and not drawn within a week of its beacon.",
		Example: "  sallyport program rotate ls --as s051",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Rotations(cmd.Context())
		if err != nil {
			return err
		}
		lapsed := false
		w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		if !f.json {
			fmt.Fprintln(w, "ROTATION\tSTATE\tCOMMITTED\tBY\tDUE\tBEACON")
		}
		for _, r := range list {
			lapsed = lapsed || r.State == "lapsed"
			if f.json {
				if err := printJSON(m.Stdout, r); err != nil {
					return err
				}
				continue
			}
			beacon, _, _ := strings.Cut(r.Beacon, "+")
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", serve.Printable(r.Name), r.State, r.At.Format(time.RFC3339), r.By, r.Due.Format(time.RFC3339), serve.Printable(beacon))
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		if lapsed {
			return ErrFound
		}
		return nil
	})
}
