package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/drill"
	"sallyport/sim"
)

// The drill at the end of the story: the same theft once more, played by nobody, at customers who do not exist, now that officers let Sallyport act.
const (
	demoDrill          = "support-2019"
	demoDrillCustomers = 16
	demoCanaries       = 4
	demoDrillAccount   = sallyport.Staff("drill1")
	demoDrillFor       = 2 * time.Minute
)

// hireDrill makes the log-in of who plays it, and the files with the passwords that the configuration names.
func (s *demoStage) hireDrill(ctx context.Context) error {
	secret := rand.Text()
	s.passwords[demoDrillAccount] = secret
	conn, err := pgx.Connect(ctx, s.cluster.SuperDSN(demoDatabase))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD '%[2]s' IN ROLE support_agents; INSERT INTO support.staff VALUES ('%[1]s', 'Drill Account', 'drill', 'agent')", demoDrillAccount, secret))
	if err := errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("make the account of the drill: %w", err)
	}
	for name, secret := range map[string]string{"drill1.password": secret, "router.password": s.passwords[sim.Router]} {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(secret+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the passwords of the drill: %w", err)
		}
	}
	return nil
}

// theDrill has two officers let Sallyport act, has somebody found by whom he looks at, and plays the theft once more to its end. A slow machine ends the wait, and not the story.
func (d *demo) theDrill(ctx context.Context, one, other *api.Client) error {
	bounded, cancel := context.WithTimeout(ctx, demoDrillFor)
	defer cancel()
	proposal, err := one.RespondMode(bounded, control.ModeAct, "the thefts showed what waiting costs")
	if err == nil {
		_, err = other.Approve(bounded, proposal)
	}
	if err == nil {
		err = d.caughtByCanary(bounded, one)
	}
	if err == nil {
		err = playDrill(bounded, one)
	}
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		d.say("The drill takes longer than this story waits for it; Drills shows how far it is.")
		return nil
	}
	return err
}

// caughtByCanary has somebody look, without a reason, at the newest customers, some of whom do not exist. Detection finds him, and Sallyport acts.
func (d *demo) caughtByCanary(ctx context.Context, officer *api.Client) error {
	if err := officer.PlantCanaries(ctx, api.PlantRequest{Count: demoCanaries, Reason: "nobody has a reason to come by these"}); err != nil {
		return fmt.Errorf("plant canaries: %w", err)
	}
	err := awaited(ctx, func() (bool, error) {
		got, err := officer.CanaryStatus(ctx)
		return got.Planted >= demoCanaries, err
	})
	if err != nil {
		return fmt.Errorf("plant canaries: %w", err)
	}
	agents := d.org.Agents()
	who := len(agents) - 1
	for d.steals(who) || agents[who].ID == d.counter {
		who--
	}
	if _, err := d.psql(ctx, agents[who].ID, d.gatewayAddress(), unaligned, "SELECT id, full_name, email FROM support.customers ORDER BY id DESC LIMIT 300"); err != nil {
		return fmt.Errorf("look at the newest customers: %w", err)
	}
	err = awaited(ctx, func() (bool, error) {
		found, _, err := officer.Findings(ctx, "")
		return len(found) > 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for a finding: %w", err)
	}
	return nil
}

// playDrill makes its customers, and waits for its end.
func playDrill(ctx context.Context, officer *api.Client) error {
	if err := officer.PlantCanaries(ctx, api.PlantRequest{Count: demoDrillCustomers, Reason: "for drills", Drill: true}); err != nil {
		return fmt.Errorf("prepare the drill: %w", err)
	}
	err := awaited(ctx, func() (bool, error) {
		got, err := officer.CanaryStatus(ctx)
		return got.Drill >= demoDrillCustomers, err
	})
	if err != nil {
		return fmt.Errorf("prepare the drill: %w", err)
	}
	id, err := officer.StartDrill(ctx, demoDrill, "the same theft once more, to see what it would come to now")
	if err != nil {
		return fmt.Errorf("play the drill: %w", err)
	}
	err = awaited(ctx, func() (bool, error) {
		var r drill.Report
		err := officer.DrillReport(ctx, id, &r)
		return r.State != "running", err
	})
	if err != nil {
		return fmt.Errorf("play the drill: %w", err)
	}
	return nil
}

// awaited looks again and again until something is so.
func awaited(ctx context.Context, holds func() (bool, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := holds(); err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
