package serve

import (
	"context"
	"crypto/rand"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/keys"
	"sallyport/protect"
)

// LiveOptions are what ProtectLive needs besides the configuration.
type LiveOptions struct {
	ProtectOptions
	Undo     bool
	Proposal string // of undoing
	Wait     bool
	Rate     int
	MaxLag   time.Duration
	Tell     func(sentence string)
}

// ProtectLive moves the configured columns in, or out, beside the serve that client talks to.
func ProtectLive(ctx context.Context, config *config.Config, client *api.Client, o LiveOptions) (report protect.Report, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := keys.Harden(); err != nil {
		return report, err
	}
	// serve has the record open; what becomes of the columns stands there.
	assembly, err := OpenOffline(config, o.Data, o.ShareFiles, func(share string) error {
		what := "protect --online"
		if o.Undo {
			what = "protect --undo"
		}
		return client.Opening(ctx, share, what)
	})
	if err != nil {
		return report, err
	}
	// The file may have been put back since serve read it.
	serving, err := client.Serving(ctx)
	if err != nil {
		return report, err
	}
	opened, err := OpenKeys(config, ctx, Keyring{Data: o.Data, KeyFile: o.KeyFile, Getenv: o.Getenv, Clock: o.Clock, Assembly: assembly, Known: serving.Keys}, false)
	if err != nil {
		return report, err
	}
	defer opened.Close()
	ring, err := config.Ring(opened.Keys())
	if err != nil {
		return report, err
	}
	columns, err := config.Codecs(ring)
	if err != nil {
		return report, err
	}
	reader, err := readerRole(config)
	if err != nil {
		return report, err
	}
	shredded, err := client.ShreddedTokens(ctx)
	if err != nil {
		return report, err
	}
	options := protect.Options{
		Dead: nothingBy(func(d sallyport.Digest) bool { return shredded[d] }),
		DSN:  config.OwnerDSN(o.Owner), Columns: columns, Reader: reader, Random: rand.Reader, Progress: o.Progress, Proposal: o.Proposal, RangeRows: o.RangeRows,
		Live: liveOf(client, o),
	}
	if o.Undo {
		return protect.MoveOut(ctx, options)
	}
	report, err = protect.MoveIn(ctx, options)
	if err == nil {
		err = noteMark(config, ctx, o.ProtectOptions)
	}
	return report, err
}

// liveOf is the serve behind a control socket.
func liveOf(client *api.Client, o LiveOptions) *protect.Live {
	return &protect.Live{
		Serving: func(ctx context.Context) (protect.Serving, error) {
			s, err := client.Serving(ctx)
			return protect.Serving{
				RecordID: s.RecordID, Position: s.Position, Backends: s.Backends,
				States: protect.States{Columns: s.States.Columns, Moving: s.States.Moving, Leaving: s.States.Leaving, Entering: s.States.Entering},
			}, err
		},
		Record: func(ctx context.Context, s protect.States) error {
			return client.Record(ctx, api.States{Columns: s.Columns, Moving: s.Moving, Leaving: s.Leaving, Entering: s.Entering, Proposal: s.Proposal})
		},
		Enter: client.Enter,
		Now:   o.Clock, Tell: o.Tell, Wait: o.Wait, Rate: o.Rate, MaxLag: o.MaxLag,
	}
}
