// Package ledger keeps a transparency log (C2SP tlog-tiles) of the record: for each entry of its streams one leaf that says which
// entry of which record has which commitment. It signs checkpoints of the log, has witnesses cosign them, proves single entries, and
// verifies a copy of record and log without any key that opens what stands in them.
//
// It refuses to stand in the way of a query (it follows what is durable already), to sign a tree that is not exactly the record's
// entries in their order, and to read what an entry says: it sees commitments. Whatever an outside checkpoint or a witness has not
// seen, the holder of the key could have rewritten; Verify says so.
//
// Invariant: of each record the leaves are the entries 1, 2, 3 … in this order, without a gap and without a repetition, whenever the
// process or the machine went down. The formats stand in docs/ledger.md.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of a ledger besides the log's own (checkpoint, tile/, .state/).
const (
	Folder       = "ledger"     // in the data folder
	KeyFile      = "ledger.key" // likewise: the key that signs, of mode 0600
	publicName   = "public-key"
	cosignedName = "cosigned"
	positionName = "position"
	checkpoint   = "checkpoint"
	stateName    = ".state/treeState"
)

// What is told as an alarm: entries wait that long, or so many of them, for a checkpoint. Reveals go on, since the record is durable.
const (
	AlarmAfter   = time.Minute
	AlarmEntries = 1_000_000
)

// ErrOlder says that a checkpoint kept elsewhere is newer than this ledger, or of another history.
var ErrOlder = errors.New("the ledger is not the one that was seen elsewhere")

// Source is one record whose entries enter the ledger.
type Source struct {
	Stream Stream
	ID     [16]byte
	Last   func() uint64                               // the highest durable sequence
	Wait   func(ctx context.Context, seq uint64) error // until this one is durable
	Open   func(from uint64) Tap                       // reads from this one on
}

// Tap reads the commitments of durable entries in their order. What cannot be read any more is passed over.
type Tap interface {
	Next() (seq uint64, commitment [32]byte, err error) // io.EOF: none yet
	Close() error
}

// Options of Open. Data and Sources must be there.
type Options struct {
	Data      string // the data folder
	Origin    string // name of the log; empty: that which it has, or one made of the access record's id
	Sources   []Source
	Witnesses []Witness
	Copies    []string // files elsewhere that always hold the newest checkpoint
	Now       func() time.Time
	Log       *slog.Logger // nil: none
}

// Ledger is an open ledger. It is safe for use by many goroutines.
type Ledger struct {
	o   Options
	dir string
	key *signer
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	status Status
	behind time.Time // since when entries wait for a checkpoint; zero: none does
	told   string    // the trouble that was logged last
}

// Status is how a ledger is.
type Status struct {
	Origin    string          `json:"origin"`
	Key       string          `json:"key"`       // that verifies its checkpoints
	Size      uint64          `json:"size"`      // leaves in the log
	Signed    uint64          `json:"signed"`    // leaves under the last checkpoint
	SignedAt  time.Time       `json:"signed_at"` // zero: none by this process
	Lag       uint64          `json:"lag"`       // durable entries that are under no checkpoint
	Trouble   string          `json:"trouble"`   // why it does not go on; empty: it does
	Alarm     bool            `json:"alarm"`     // it is too far behind
	Witnesses []WitnessStatus `json:"witnesses"`
	Copies    []CopyStatus    `json:"copies"`
}

// Open loads the key, or makes one where there is no ledger yet, and holds what is there to the checkpoints kept elsewhere. Nothing
// is followed before Run.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Ledger{o: o, dir: filepath.Join(o.Data, Folder), log: o.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	var err error
	if l.key, err = l.openKey(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l.status = Status{Origin: l.key.Name(), Key: l.key.public}
	for _, w := range o.Witnesses {
		if _, err := w.verifier(); err != nil {
			return nil, fmt.Errorf("open ledger: witness %s: %w", w.URL, err)
		}
		l.status.Witnesses = append(l.status.Witnesses, WitnessStatus{URL: w.URL, Why: "not asked yet"})
	}
	for _, path := range o.Copies {
		l.status.Copies = append(l.status.Copies, CopyStatus{Path: path})
	}
	if err := l.holdToElsewhere(ctx); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// Status is how the ledger is right now.
func (l *Ledger) Status() Status {
	durable := uint64(0)
	for _, s := range l.o.Sources {
		durable += s.Last()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Witnesses = append([]WitnessStatus(nil), s.Witnesses...)
	s.Copies = append([]CopyStatus(nil), s.Copies...)
	if durable > s.Signed {
		s.Lag = durable - s.Signed
	}
	return s
}

// tend looks once a second for entries that wait too long, and for a checkpoint to show elsewhere, until ctx ends.
func (l *Ledger) tend(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.noteCheckpoint()
			l.watchLag()
			l.showElsewhere(ctx)
		}
	}
}

// watchLag tells once that the ledger is too far behind, and once that it has caught up.
func (l *Ledger) watchLag() {
	lag, now := l.Status().Lag, time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lag == 0:
		l.behind = time.Time{}
	case l.behind.IsZero():
		l.behind = now
	}
	late := lag >= AlarmEntries || !l.behind.IsZero() && now.Sub(l.behind) >= AlarmAfter
	if late == l.status.Alarm {
		return
	}
	l.status.Alarm = late
	if late {
		l.log.Error("the ledger is behind: the newest entries are on record and under no checkpoint yet", "entries", lag, "since", l.behind, "why", l.status.Trouble,
			"next", "see to the disk under the data folder; reveals go on, and the ledger catches up by itself")
		return
	}
	l.log.Warn("the ledger has caught up")
}

// advanced notes that the log has grown. Lag is counted since the signed size moved last.
func (l *Ledger) advanced(size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Size, l.status.Trouble = size, ""
	if l.told != "" {
		l.told = ""
		l.log.Warn("the ledger goes on")
	}
}

// trouble says, once for each cause, why it does not go on.
func (l *Ledger) trouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Trouble = err.Error()
	if l.told != l.status.Trouble {
		l.told = l.status.Trouble
		l.log.Error("the ledger does not go on; reveals do, since the record is durable", "why", l.told, "next", "it tries again by itself; 'sallyport ledger verify' on a copy says more")
	}
}

// noteCheckpoint reads which checkpoint was published last.
func (l *Ledger) noteCheckpoint() {
	if err := l.key.refusal(); err != nil {
		l.trouble(err)
	}
	c, err := l.key.readCheckpoint(filepath.Join(l.dir, checkpoint))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.trouble(fmt.Errorf("read the last checkpoint: %w", err))
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Size > l.status.Signed {
		l.status.Signed, l.status.SignedAt, l.behind = c.Size, time.Now(), time.Time{}
	}
}
