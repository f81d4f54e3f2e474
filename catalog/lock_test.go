package catalog

import (
	"context"
	"testing"
	"time"
)

// TestLockedView has somebody hold a view locked: reading its definition waits for him, and he may wait for what is read.
func TestLockedView(t *testing.T) {
	super, reader := database(t, tables, "CREATE VIEW support.mails AS SELECT email FROM support.customers")
	c := open(t, reader, config())
	run(t, super, "BEGIN", "LOCK TABLE support.mails IN ACCESS EXCLUSIVE MODE")
	run(t, connect(t, cluster.SuperDSN(reader.Database)), "CREATE TABLE support.another ()")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := c.Refresh(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("while a view is locked: %v", err)
	}
	run(t, super, "ROLLBACK")
	if changed, err := c.Refresh(t.Context()); err != nil || !changed {
		t.Errorf("afterwards: %v, %v", changed, err)
	}
}
