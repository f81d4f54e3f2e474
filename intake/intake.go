// Package intake puts other systems' accesses into the access stream, each once: which are there is found out from the stream itself, so that neither a
// restart nor another order of files makes one twice. It knows them by their system's name and their ids, which stand in a file (ids.go) that is made again
// from the stream where it is lost.
//
// It reads no other system's files: that is package sources, in the command. What a part says is held to sense, and nothing of it is believed.
package intake

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"sallyport"
	"sallyport/api"
	"sallyport/record"
	logs "sallyport/sources"
)

// Intake takes imports, one part at a time.
type Intake struct {
	data   string         // folder of the file of ids
	stream *record.Stream // of accesses
	orders *api.Orders
	clock  func() time.Time

	mu   sync.Mutex // held while a part is taken: which ids are known must not change meanwhile
	ids  *ids       // of what stands in the stream, on disk; nil: not opened yet
	read bool       // ids has all that stands there
	open map[string]order
}

// New takes imports into a record of accesses; beside it, in the folder data, stands which ids it has.
func New(data string, stream *record.Stream, orders *api.Orders, clock func() time.Time) *Intake {
	return &Intake{data: data, stream: stream, orders: orders, clock: clock}
}

type order struct {
	by     sallyport.Staff
	source string
}

// mostImports bounds the imports that are remembered at a time.
const mostImports = 1000

// Begin puts an import on record.
func (i *Intake) Begin(by sallyport.Staff, what sallyport.Importing) (string, error) {
	id := "im-" + strings.ToLower(rand.Text()[:10])
	e := &sallyport.Event{Time: i.clock(), Kind: sallyport.ImportOrdered, Who: sallyport.Who{Staff: by}, Order: &sallyport.Order{ID: id, Action: "import", By: by, Importing: &what}}
	if err := i.orders.Give(nil, e); err != nil {
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil || len(i.open) >= mostImports {
		i.open = map[string]order{}
	}
	i.open[id] = order{by, what.Source}
	return id, nil
}

// Take puts a part on record. It is on stable storage when nil is returned; after an error it may be there in part, and the same part may be
// given again.
func (i *Intake) Take(ctx context.Context, by sallyport.Staff, id, format string, list []sallyport.Access) (t api.Taken, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	of, ok := i.open[id]
	if !ok || of.by != by {
		return t, &api.Problem{Status: http.StatusNotFound, Code: "no_import", Sentence: "This import is not under way.", Hint: "Run sallyport import again: what stands in the record already is passed over."}
	}
	for k := range list {
		if err := importable(&list[k]); err != nil {
			return t, err
		}
	}
	if err := i.learn(ctx); err != nil {
		return t, err
	}
	keys := make([][16]byte, len(list))
	for k := range list {
		keys[k] = keyOf(of.source, list[k].UID)
	}
	known, err := i.ids.known(keys)
	if err != nil {
		return t, err
	}
	i.read = false // after an error what of it is durable is read again
	var added [][16]byte
	fresh := map[[16]byte]bool{}
	for k := range list {
		if known[k] || fresh[keys[k]] || i.ours(list[k].UID) {
			t.Known++
			continue
		}
		e := &sallyport.Event{Time: i.clock(), Kind: sallyport.ImportedKind, Imported: &sallyport.Imported{Source: of.source, Format: format, By: by, Import: id, Access: list[k]}}
		if err := i.put(e); err != nil {
			return t, err
		}
		fresh[keys[k]] = true
		added = append(added, keys[k])
	}
	if err := i.stream.Sync(); err != nil {
		return t, fmt.Errorf("import: %w", err)
	}
	if len(added) > 0 {
		if err := i.ids.add(added, i.stream.Last()); err != nil {
			return t, err
		}
	}
	i.read, t.New = true, len(added)
	return t, nil
}

// put enqueues an entry; where too much waits already it waits for that.
func (i *Intake) put(e *sallyport.Event) error {
	if _, err := i.stream.Enqueue(e); err == nil {
		return nil
	}
	err := i.stream.Sync()
	if err == nil {
		_, err = i.stream.Append(e)
	}
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// ours says whether an id is of this very record: what was exported from it is not imported into it.
func (i *Intake) ours(uid string) bool {
	return strings.HasPrefix(uid, logs.UIDPrefix(i.stream.ID()))
}

// learnedAtOnce is how many ids are gathered in memory while the stream is read.
const learnedAtOnce = 50_000

// learn reads which ids stand in the stream beyond what the file has.
func (i *Intake) learn(ctx context.Context) error {
	if i.read {
		return nil
	}
	if err := i.stream.Sync(); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if i.ids == nil {
		ids, err := openIDs(i.data, i.stream)
		if err != nil {
			return err
		}
		i.ids = ids
	}
	at, err := i.ids.position()
	if err != nil {
		return err
	}
	last := i.stream.Last()
	if at >= last {
		i.read = true
		return nil
	}
	var keys [][16]byte
	err = i.stream.Read(at+1, func(e *sallyport.Event) error {
		if e.Seq > last {
			return record.ErrEnough
		}
		if e.Kind == sallyport.ImportedKind && e.Imported != nil {
			keys = append(keys, keyOf(e.Imported.Source, e.Imported.Access.UID))
		}
		if len(keys) < learnedAtOnce {
			return ctx.Err()
		}
		err := i.ids.add(keys, e.Seq)
		keys = keys[:0]
		return errors.Join(err, ctx.Err())
	})
	if err == nil {
		err = i.ids.add(keys, last)
	}
	if err != nil {
		return fmt.Errorf("read what was imported before: %w", err)
	}
	i.read = true
	return nil
}

// Close gives the file of ids free.
func (i *Intake) Close() error {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ids == nil {
		return nil // nothing was imported since the start
	}
	err := i.ids.Close()
	i.ids, i.read = nil, false
	return err
}

// keyOf is an id with the name of its system: two systems may both count from 1.
func keyOf(source, uid string) [16]byte {
	sum := sha256.Sum256([]byte(source + "\x00" + uid))
	return [16]byte(sum[:16])
}

// Bounds of what is imported of one access: the record holds ids and names, and no texts.
const (
	mostText    = 300
	mostMembers = 100_000
)

// importable refuses what no log of accesses holds. Client and server are of one company, but what they pass on is not.
func importable(a *sallyport.Access) error {
	wrong := func(what string) error {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_access", Sentence: "An access cannot be imported: " + what + ".", Hint: "Nothing of this part was taken."}
	}
	switch {
	case a.UID == "":
		return wrong("it has no id")
	case a.Staff == "":
		return wrong("nobody made it")
	case a.Time.Year() < 1970 || a.Time.Year() > 9998:
		return wrong("its time is out of range")
	case len(a.Subjects)+len(a.Reached) > mostMembers || len(a.Columns)+len(a.Powers) > 10_000:
		return wrong("it names too many customers or columns")
	case a.Rows < 0 || a.Bytes < 0 || a.Count < 0 || a.Reach < 0 || a.Probes < 0 || a.Trust < 0 || a.Trust > 101:
		return wrong("a number in it is out of range")
	}
	texts := []string{
		a.UID, string(a.Staff), string(a.Via), a.Session, a.Application, a.Address, a.Device, a.Shape, a.Database, a.Table, a.Purpose.Kind, a.Purpose.Ref, a.Verdict, a.Verb, a.Policy,
	}
	texts = append(append(texts, a.Columns...), a.Powers...)
	for _, subjects := range [][]sallyport.Subject{a.Subjects, a.Reached} {
		for _, s := range subjects {
			texts = append(texts, string(s))
		}
	}
	for _, text := range texts {
		if len(text) > mostText || !utf8.ValidString(text) {
			return wrong("a text in it is too long, or no UTF-8")
		}
	}
	a.Arrived = 0
	a.Time = a.Time.UTC()
	return nil
}
