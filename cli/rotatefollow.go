package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/api"
	"sallyport/control"
	"sallyport/serve"
)

// followRotation prints how far the rotation of a group is, from a proposal of it on, until no older token is left. id is empty where the rotation was
// under way already.
func (m *Main) followRotation(ctx context.Context, c *api.Client, f *controlFlags, group, id string) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for last := ""; ; {
		line, done, err := m.lookAtRotation(ctx, c, f, group, id)
		if err != nil {
			return err
		}
		if !f.json && line != last {
			if err := printLine(m.Stdout, "%s", line); err != nil {
				return err
			}
		}
		if last = line; done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// lookAtRotation says how far a rotation is; as JSON it prints that.
func (m *Main) lookAtRotation(ctx context.Context, c *api.Client, f *controlFlags, group, id string) (line string, done bool, err error) {
	status, err := c.Status(ctx)
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(status.Rotations, func(r api.Rotation) bool { return r.Group == group })
	if i < 0 {
		return m.besideRotation(ctx, c, group, id)
	}
	r := status.Rotations[i]
	if f.json {
		err = printJSON(m.Stdout, map[string]any{"rotations": []api.Rotation{r}})
	}
	return serve.RotationLine(r), r.State == "done", err
}

// besideRotation says what a rotation that is not under way waits for, or what it came to.
func (m *Main) besideRotation(ctx context.Context, c *api.Client, group, id string) (line string, done bool, err error) {
	all, err := c.Proposals(ctx)
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(all, func(p api.Proposal) bool { return p.ID == id })
	if i < 0 {
		return "", false, fmt.Errorf("follow the rotation of %s: none is under way; --reason 'what for' proposes one", group)
	}
	switch p := all[i]; {
	case p.Done:
		return fmt.Sprintf("%s is rotated: %s", group, p.Result), true, nil
	case p.Status == string(control.Open):
		return fmt.Sprintf("%s waits until another lead or security runs sallyport approve %s --as ID", group, id), false, nil
	case p.Status == string(control.Agreed):
		return fmt.Sprintf("%s is approved, and about to begin", group), false, nil
	default:
		return "", false, fmt.Errorf("follow the rotation of %s: the proposal %s is %s", group, id, p.Status)
	}
}
