package serve

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestRotateFollow proposes and follows with one command, from waiting for the second person until no older token is left.
func TestRotateFollow(t *testing.T) {
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "phone"))
	rotate := func(args ...string) (*lockedBuffer, chan error) {
		out, ended := &lockedBuffer{}, make(chan error, 1)
		m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: out, Getenv: func(name string) string {
			if name == passwordVariable {
				return "o1-password"
			}
			return ""
		}}
		go func() {
			ended <- m.Run(f.ctx, append([]string{"keys", "rotate", "--group", "phone", "--follow", "--data", f.options.Data, "--as", "o1"}, args...))
		}()
		return out, ended
	}
	end := func(ended chan error) error {
		t.Helper()
		select {
		case err := <-ended:
			return err
		case <-time.After(stretched(60 * time.Second)):
			t.Fatal("it does not end")
			return nil
		}
	}
	out, ended := rotate()
	if err := end(ended); err == nil || !strings.Contains(err.Error(), "none is under way") {
		t.Errorf("following nothing: %v", err)
	}

	out, ended = rotate("--reason", "yearly")
	within(t, 20*time.Second, "it waits for another person", func() bool {
		return strings.Contains(out.String(), "phone waits until another lead or security runs sallyport approve ")
	})
	_, id, _ := strings.Cut(out.String(), "Proposed as ")
	id, _, _ = strings.Cut(id, ".")
	_, err := f.officer("o2").Decline(f.ctx, id)
	fatal(t, err)
	if err := end(ended); err == nil || !strings.Contains(err.Error(), "is declined") || errors.Is(err, errFound) {
		t.Errorf("declined: %v", err)
	}

	out, ended = rotate("--reason", "yearly", "--json")
	within(t, 20*time.Second, "it is proposed", func() bool { return strings.Contains(out.String(), `"proposal"`) })
	for _, p := range f.server.State.Proposals() {
		id = p.ID
	}
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	if err := end(ended); err != nil || !strings.Contains(out.String(), `"group":"phone","from":1,"to":2,"state":"done"`) {
		t.Errorf("followed: %v\n%s", err, out)
	}
	out, ended = rotate()
	if err := end(ended); err != nil || !strings.Contains(out.String(), "no token of epoch 1 is left") {
		t.Errorf("followed once more: %v\n%s", err, out)
	}
}
