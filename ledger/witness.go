package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	cosigning "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

// Witness is somebody else who saw the log and says so (C2SP tlog-witness): he cosigns a checkpoint only where it continues the last one
// that he cosigned.
type Witness struct {
	URL string // add-checkpoint is asked for below it
	Key string // his public key, as a verifier key
}

// WitnessStatus is how far one is.
type WitnessStatus struct {
	URL  string    `json:"url"`
	Size uint64    `json:"size"` // of the last checkpoint that he cosigned
	At   time.Time `json:"at"`
	Why  string    `json:"why,omitempty"` // he did not cosign the newest one
}

// CopyStatus is how far a file elsewhere is.
type CopyStatus struct {
	Path string `json:"path"`
	Size uint64 `json:"size"`
	Why  string `json:"why,omitempty"`
}

const (
	witnessTimeout = 5 * time.Second
	startTimeout   = 2 * time.Second // at the start people wait
	mostAnswer     = 64 << 10
)

func (w Witness) verifier() (note.Verifier, error) {
	v, err := cosigning.NewVerifierForCosignatureV1(w.Key)
	if err != nil {
		return nil, fmt.Errorf("read the public key of a witness: %w", err)
	}
	return v, nil
}

// behindError says that a witness has seen more than there is.
type behindError struct{ size uint64 }

func (e *behindError) Error() string {
	return fmt.Sprintf("he has cosigned a log of %d leaves, which is longer than this one", e.size)
}

// cosign asks a witness to cosign a checkpoint that continues one of the size old, and returns his signature line.
func (w Witness) cosign(ctx context.Context, c Checkpoint, old uint64, proof func(old uint64) ([][]byte, error)) ([]byte, error) {
	v, err := w.verifier()
	if err != nil {
		return nil, err
	}
	for range 3 { // he may know better how far he is, once or twice
		var path [][]byte
		if old > 0 {
			if path, err = proof(old); err != nil {
				return nil, fmt.Errorf("prove consistency: %w", err)
			}
		}
		status, answer, err := w.post(ctx, requestBody(c, old, path))
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusOK:
			return cosignature(c, answer, v)
		case http.StatusConflict:
			size, err := strconv.ParseUint(strings.TrimSpace(string(answer)), 10, 63)
			if err != nil || size == old {
				return nil, errors.New("he has cosigned another log of this name and size: this is a fork")
			}
			if size > c.Size {
				return nil, &behindError{size}
			}
			old = size
		case http.StatusUnprocessableEntity:
			return nil, errors.New("he says that this log does not continue what he has cosigned: this is a fork")
		case http.StatusForbidden:
			return nil, errors.New("he does not know the key of this log; tell him the public key")
		case http.StatusNotFound:
			return nil, errors.New("he does not know this log; tell him its origin and public key")
		default:
			return nil, fmt.Errorf("he answers %d", status)
		}
	}
	return nil, errors.New("he changes his mind about what he has cosigned")
}

func requestBody(c Checkpoint, old uint64, proof [][]byte) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	for _, h := range proof {
		b = base64.StdEncoding.AppendEncode(b, h)
		b = append(b, '\n')
	}
	return append(append(b, '\n'), c.Note...)
}

func (w Witness) post(ctx context.Context, b []byte) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	answer, err = io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	return resp.StatusCode, answer, err
}

// cosignature finds the witness's own signature of the checkpoint among what he answered.
func cosignature(c Checkpoint, answer []byte, v note.Verifier) ([]byte, error) {
	signed := append(bytes.Clone(c.Note), answer...)
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 {
		return nil, errors.New("he answers with a signature that is not his, or not of this checkpoint")
	}
	return fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}

// proofs builds consistency proofs up to a size.
func (l *Ledger) proofs(ctx context.Context, size uint64) func(old uint64) ([][]byte, error) {
	return func(old uint64) ([][]byte, error) {
		builder, err := client.NewProofBuilder(ctx, size, fetcher(tiles{os.DirFS(l.dir)}))
		if err != nil {
			return nil, err
		}
		return builder.ConsistencyProof(ctx, old, size)
	}
}

// fetcher reads tiles for the library.
func fetcher(t tiles) client.TileFetcherFunc {
	return func(_ context.Context, level, index uint64, p uint8) ([]byte, error) {
		return t.partial(func(p uint8) string { return layout.TilePath(level, index, p) }, p)
	}
}

// showElsewhere brings the newest checkpoint to the witnesses and into the files elsewhere that do not have it yet.
func (l *Ledger) showElsewhere(ctx context.Context) {
	c, err := l.key.readCheckpoint(filepath.Join(l.dir, checkpoint))
	if err != nil || c.Size == 0 {
		return
	}
	l.showWitnesses(ctx, c)
	for i, path := range l.o.Copies {
		l.mu.Lock()
		there := l.status.Copies[i].Size
		l.mu.Unlock()
		if there >= c.Size {
			continue
		}
		err := writeFile(path, c.Note, 0o644)
		l.mu.Lock()
		if l.status.Copies[i].Why = ""; err != nil {
			if text := err.Error(); l.status.Copies[i].Why != text {
				l.log.Error("the newest checkpoint could not be written elsewhere", "file", path, "why", text)
			}
			l.status.Copies[i].Why = err.Error()
		} else {
			l.status.Copies[i].Size = c.Size
		}
		l.mu.Unlock()
	}
}

// showWitnesses asks all of them at once, and keeps what they signed beside the checkpoint.
func (l *Ledger) showWitnesses(ctx context.Context, c Checkpoint) {
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	lines := make([][]byte, len(l.o.Witnesses))
	var wg sync.WaitGroup
	for i, w := range l.o.Witnesses {
		l.mu.Lock()
		old := l.status.Witnesses[i].Size
		l.mu.Unlock()
		if old >= c.Size {
			continue
		}
		wg.Go(func() {
			line, err := w.cosign(ctx, c, old, l.proofs(ctx, c.Size))
			if ctx.Err() != nil && err != nil {
				err = fmt.Errorf("no answer within %s", witnessTimeout)
			}
			l.witnessed(i, c.Size, err)
			lines[i] = line
		})
	}
	wg.Wait()
	if signed := bytes.Join(lines, nil); len(signed) > 0 {
		if err := writeFile(filepath.Join(l.dir, cosignedName), append(bytes.Clone(c.Note), signed...), 0o644); err != nil {
			l.log.Error("what witnesses signed could not be kept", "why", err.Error())
		}
	}
}

// witnessed notes what became of asking one, and tells of a change.
func (l *Ledger) witnessed(i int, size uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.status.Witnesses[i]
	before := w.Why
	if err == nil {
		w.Size, w.At, w.Why = size, l.o.Now(), ""
		return
	}
	if w.Why = err.Error(); w.Why != before {
		l.log.Error("a witness did not cosign", "witness", w.URL, "why", w.Why)
	}
}

// holdToElsewhere compares what is here with what was seen elsewhere, as far as that answers: a ledger that was restored from an older
// copy, or rewritten, does not pass for the present.
func (l *Ledger) holdToElsewhere(ctx context.Context) error {
	var state treeState
	readJSON(filepath.Join(l.dir, filepath.FromSlash(stateName)), &state)
	log := tiles{os.DirFS(l.dir)}
	for _, path := range append([]string{filepath.Join(l.dir, cosignedName), filepath.Join(l.dir, checkpoint)}, l.o.Copies...) {
		seen, err := l.key.readCheckpoint(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the checkpoint in %s is not one of this ledger: %w; see which of the two was replaced, and move the file away once you know", path, err)
		}
		if err := log.continues(seen, state.Size); err != nil {
			return fmt.Errorf("%w: %s has %w. Restore a newer backup of the data folder. If this is all that is left, move the file, %s and %s away: a new ledger begins, and nothing proves what was before",
				ErrOlder, path, err, KeyFile, Folder)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return l.askWitnesses(ctx)
}

// continues says why a log of a size does not continue a checkpoint.
func (t tiles) continues(seen Checkpoint, size uint64) error {
	if seen.Size > size {
		return fmt.Errorf("a checkpoint of %d entries, and here are %d: this data folder is older", seen.Size, size)
	}
	base, err := t.rangeAt(seen.Size, size)
	if err != nil {
		return fmt.Errorf("a checkpoint of %d entries, which cannot be compared: %w", seen.Size, err)
	}
	root, err := rangeRoot(base)
	if err == nil && !bytes.Equal(root, seen.Root) {
		err = fmt.Errorf("a checkpoint of %d entries, and the first %d here are others: history was rewritten", seen.Size, seen.Size)
	}
	return err
}

// askWitnesses shows the last checkpoint to those who answer in time: only who has seen more, or another history, is an objection.
func (l *Ledger) askWitnesses(ctx context.Context) error {
	c, err := l.key.readCheckpoint(filepath.Join(l.dir, checkpoint))
	if err != nil {
		c = Checkpoint{}
	}
	if c.Size == 0 || len(l.o.Witnesses) == 0 {
		return nil
	}
	errs := make([]error, len(l.o.Witnesses))
	var wg sync.WaitGroup
	for i, w := range l.o.Witnesses {
		wg.Go(func() {
			_, err := w.cosign(ctx, c, 0, l.proofs(ctx, c.Size))
			if behind, ok := errors.AsType[*behindError](err); ok {
				errs[i] = fmt.Errorf("%w: the witness %s says: %w. Restore a newer backup of the data folder. If this is all that is left, move %s and %s away and give the new ledger another ledger.origin",
					ErrOlder, w.URL, behind, KeyFile, Folder)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
