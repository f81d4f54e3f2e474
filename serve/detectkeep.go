package serve

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"sallyport"
	"sallyport/detect"
	"sallyport/record"
)

// detectKeep keeps what detection has learnt, so that a start need not read the whole record. It is no second truth: it says up to which entries it
// goes, and whatever does not fit the record, the settings or this version is put aside and all is read. It is sealed with a key of the record: whoever
// could write it could make detection blind, and whoever could read it would know who looked at whom. A record that is not encrypted has none.
type detectKeep struct {
	path string
	key  *record.Key

	entries uint64 // so many are to be new
	at      uint64 // of the access stream, when it was kept last
	when    time.Time
	erased  bool // something was erased since the start: what was learnt of it is not kept
}

// Bounds of keeping: so often, when so many entries are new.
const (
	keepEvery   = 30 * time.Minute
	keepEntries = 20_000
	keepName    = "detection.state"
	mostKept    = 2 << 30 // bytes; of more the record is read
)

// kept is what stands in the file.
type kept struct {
	Settings string      `cbor:"1,keyasint"`
	Record   string      `cbor:"2,keyasint"`
	At       uint64      `cbor:"3,keyasint"` // the last entry of the access stream that was read
	Entry    []byte      `cbor:"4,keyasint"` // digest of it: a record that was brought back from a backup may have gone another way
	Orders   uint64      `cbor:"5,keyasint"` // the last one of the control stream
	Lines    int         `cbor:"6,keyasint"` // that were found at At
	Hearing  keptHearing `cbor:"7,keyasint"`
	Detector []byte      `cbor:"8,keyasint"`
	Drill    *keptDrill  `cbor:"9,keyasint,omitempty"`
}

// keptHearing is what hearing and its traps know.
type keptHearing struct {
	Tickets  map[string]keptTicket            `cbor:"1,keyasint"`
	Canaries map[sallyport.Subject]bool       `cbor:"2,keyasint"`
	Reports  map[string]*sallyport.ScamReport `cbor:"3,keyasint,omitempty"`
	Tokens   []keptToken                      `cbor:"4,keyasint,omitempty"`
	ByID     []keptToken                      `cbor:"5,keyasint,omitempty"`
	Bulk     []string                         `cbor:"6,keyasint,omitempty"`
	Makers   []keptMaker                      `cbor:"7,keyasint,omitempty"` // the oldest first
}

type keptTicket struct {
	Assignee sallyport.Staff   `cbor:"1,keyasint"`
	Customer sallyport.Subject `cbor:"2,keyasint"`
	Open     bool              `cbor:"3,keyasint"`
	ID       string            `cbor:"4,keyasint"`

	Contacted time.Time `cbor:"5,keyasint,omitzero"`
}

type keptToken struct {
	Of      []byte            `cbor:"1,keyasint"`
	Subject sallyport.Subject `cbor:"2,keyasint"`
}

type keptMaker struct {
	Session   string          `cbor:"1,keyasint"`
	Statement uint64          `cbor:"2,keyasint"`
	By        sallyport.Staff `cbor:"3,keyasint"`
}

// keptDrill is what the second detector knows.
type keptDrill struct {
	Alias    map[sallyport.Staff]sallyport.Staff `cbor:"1,keyasint"`
	Subjects map[sallyport.Subject]bool          `cbor:"2,keyasint"`
	Tickets  map[string]bool                     `cbor:"3,keyasint"`
	Name     string                              `cbor:"4,keyasint"`
	Hired    []sallyport.Employee                `cbor:"5,keyasint"`
	Detector []byte                              `cbor:"6,keyasint"`
}

func newDetectKeep(data string, key *record.Key) *detectKeep {
	if data == "" || key == nil {
		return nil
	}
	return &detectKeep{path: filepath.Join(data, keepName), key: key, entries: keepEntries}
}

// forget removes what is kept, since something of it was erased. What is in memory goes with the process.
func (k *detectKeep) forget() error {
	if k == nil {
		return nil
	}
	k.erased = true
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what detection had learnt of what is erased: %w", err)
	}
	return nil
}

// load reads what was kept; nil where there is nothing, or nothing of use, with the reason.
func (k *detectKeep) load() (*kept, error) {
	if k == nil {
		return nil, nil
	}
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(text) < record.SaltSize {
		return nil, errors.New("it is cut off")
	}
	seal, err := k.key.Beside(keepName, [record.SaltSize]byte(text))
	if err != nil {
		return nil, err
	}
	plain, err := seal.Open(text[record.SaltSize:record.SaltSize], make([]byte, seal.NonceSize()), text[record.SaltSize:], nil)
	if err != nil {
		return nil, errors.New("it was changed, or sealed with another key")
	}
	mode, err := cbor.DecOptions{MaxArrayElements: 1 << 30, MaxMapPairs: 1 << 30}.DecMode()
	if err != nil {
		return nil, err
	}
	x := &kept{}
	return x, mode.Unmarshal(plain, x)
}

// write keeps it, whole or not at all.
func (k *detectKeep) write(x *kept) error {
	plain, err := cbor.Marshal(x)
	if err != nil {
		return err
	}
	var salt [record.SaltSize]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return err
	}
	seal, err := k.key.Beside(keepName, salt)
	if err != nil {
		return err
	}
	text := seal.Seal(salt[:], make([]byte, seal.NonceSize()), plain, nil) //nolint:gosec // a zero nonce: the salt makes the key another one each time
	file, err := os.OpenFile(k.path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(k.path+".tmp", k.path)
}

// keepNow keeps what was learnt, where it is time. A keep that fails costs a longer start and nothing else.
func (d *detecting) keepNow(ending bool) {
	k := d.keep
	if k == nil || k.erased || d.at < k.at+k.entries || !ending && d.clock().Sub(k.when) < keepEvery {
		return
	}
	k.at, k.when = d.at, d.clock()
	x, err := d.kept()
	if err == nil {
		err = k.write(x)
	}
	if err != nil {
		d.log.Warn("what detection has learnt could not be kept; the next start reads the whole record", "why", err.Error())
	}
}

// kept is what was learnt.
func (d *detecting) kept() (*kept, error) {
	entry, err := d.digestOf(d.at)
	if err != nil {
		return nil, err
	}
	x := &kept{Settings: d.settings, Record: d.access.ID(), At: d.at, Entry: entry, Orders: d.ordersAt, Lines: d.lines, Hearing: d.heard.kept()}
	if x.Detector, err = d.detector.State(); err != nil {
		return nil, err
	}
	if w := d.heard.drill(); w != nil && w.detector != nil {
		x.Drill = &keptDrill{Alias: w.alias, Subjects: w.subjects, Tickets: w.tickets, Name: w.name, Hired: w.hired}
		if x.Drill.Detector, err = w.detector.State(); err != nil {
			return nil, err
		}
	}
	if n := len(x.Detector); n > mostKept {
		return nil, fmt.Errorf("it has %d bytes, at most %d are kept", n, mostKept)
	}
	return x, nil
}

// digestOf is that of an entry of the access stream.
func (d *detecting) digestOf(seq uint64) ([]byte, error) {
	enough := errors.New("enough")
	var sum []byte
	err := d.access.Read(seq, func(e *sallyport.Event) error {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(text)
		sum = digest[:]
		return enough
	})
	if errors.Is(err, enough) {
		return sum, nil
	}
	if err == nil {
		err = errors.New("there is no such entry")
	}
	return nil, fmt.Errorf("read entry %d: %w", seq, err)
}

// takeUp goes on from what was kept, where it fits the record and the settings.
func (d *detecting) takeUp(erasedAt uint64) bool {
	x, err := d.keep.load()
	if x == nil && err == nil {
		return false
	}
	if err == nil {
		err = d.fits(x, erasedAt)
	}
	if err == nil {
		err = d.restore(x)
	}
	if err != nil {
		d.log.Info("what detection had learnt is put aside; the record is read", "why", err.Error())
		return false
	}
	return true
}

func (d *detecting) fits(x *kept, erasedAt uint64) error {
	switch {
	case x.Settings != d.settings:
		return errors.New("settings or staff have changed")
	case x.Record != d.access.ID() || x.At > d.access.Last() || x.Orders > d.control.Last():
		return errors.New("it is of another record")
	case erasedAt > x.Orders:
		if err := os.Remove(d.keep.path); err != nil {
			return fmt.Errorf("remove what had been learnt of what is erased: %w", err)
		}
		return errors.New("entries were erased since")
	}
	entry, err := d.digestOf(x.At)
	if err != nil {
		return err
	}
	if !bytes.Equal(entry, x.Entry) {
		return errors.New("the record went another way")
	}
	return nil
}

func (d *detecting) restore(x *kept) (err error) {
	fresh, err := detect.Restore(d.options, d.staff, x.Detector)
	if err != nil {
		return err
	}
	if w := d.heard.drill(); (w != nil) != (x.Drill != nil) {
		return errors.New("drills were not watched then, or are not now")
	} else if w != nil {
		if err := w.restore(x.Drill, d.options, d.staff); err != nil {
			return err
		}
	}
	d.detector = fresh
	d.heard.restore(&x.Hearing)
	d.at, d.ordersAt, d.lines = x.At, x.Orders, x.Lines
	d.read.Store(d.at)
	for len(d.past.anchors) > 0 && d.past.anchors[0].taken <= d.ordersAt {
		d.past.anchors = d.past.anchors[1:]
	}
	d.keep.at, d.keep.when = d.at, d.clock()
	return nil
}

func (w *drillWatch) restore(x *keptDrill, o detect.Options, staff []sallyport.Employee) (err error) {
	if w.detector, err = detect.Restore(o, append(slices.Clip(staff), x.Hired...), x.Detector); err != nil {
		return err
	}
	w.alias, w.subjects, w.tickets, w.name, w.hired = filled(x.Alias), filled(x.Subjects), filled(x.Tickets), x.Name, x.Hired
	return nil
}

// filled is a map that may be written to.
func filled[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}

func (h *hearing) kept() keptHearing {
	x := keptHearing{Tickets: map[string]keptTicket{}, Canaries: h.canary, Reports: h.reports}
	for id, t := range h.tickets {
		x.Tickets[id] = keptTicket{t.assignee, t.customer, t.open, t.id, t.contacted}
	}
	if t := h.traps; t != nil {
		for digest, s := range t.tokens {
			x.Tokens = append(x.Tokens, keptToken{digest[:], s})
		}
		for id, s := range t.byID {
			x.ByID = append(x.ByID, keptToken{[]byte(id), s})
		}
		for id := range t.bulk {
			x.Bulk = append(x.Bulk, id)
		}
		for _, key := range t.recent {
			x.Makers = append(x.Makers, keptMaker{key.session, key.id, t.makers[key]})
		}
	}
	return x
}

// restore puts back what was known. The map of canaries stays the one that the detector looks into.
func (h *hearing) restore(x *keptHearing) {
	h.tickets, h.reports = map[string]heardTicket{}, x.Reports
	for id, t := range x.Tickets {
		h.tickets[id] = heardTicket{t.Assignee, t.Customer, t.Open, t.ID, t.Contacted}
	}
	maps.Copy(h.canary, x.Canaries)
	t := h.traps
	if t == nil {
		return
	}
	for _, token := range x.Tokens {
		t.tokens[sallyport.Digest(token.Of)] = token.Subject
	}
	for _, id := range x.ByID {
		t.byID[string(id.Of)] = id.Subject
	}
	for _, id := range x.Bulk {
		t.bulk[id] = true
	}
	for _, m := range x.Makers {
		key := statementKey{m.Session, m.Statement}
		t.makers[key], t.recent = m.By, append(t.recent, key)
	}
}
