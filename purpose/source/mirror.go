package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/durable"
	"sallyport/purpose"
)

// Item is one thing as it is kept, with what orders it among its own earlier and later states.
type Item struct {
	purpose.Thing
	Version int64 `json:"version"`          // higher is later
	Gone    bool  `json:"gone,omitempty"`   // it is there no more
	Unsure  bool  `json:"unsure,omitempty"` // two states have the same version, and nobody knows which is the later one
	Bare    bool  `json:"bare,omitempty"`   // who did what is not known of this state (Zendesk)

	Seen time.Time `json:"seen,omitzero"` // when it was sent

	turn uint64 // another one each time that something is said of the thing
}

// entry is one line of the mirror's log.
type entry struct {
	ID    string    `json:"id,omitempty"` // of the message
	At    time.Time `json:"at"`           // the message's, by the sender's signed clock
	Items []Item    `json:"items,omitempty"`
	Note  string    `json:"note,omitempty"`  // something else to keep (a cursor)
	Late  bool      `json:"late,omitempty"`  // others wait that could not be delivered: it is no sign of life
	Whole bool      `json:"whole,omitempty"` // the log before this is a whole copy of what was known
}

// mirror is what another system sent, kept in a log of its own, so that a restart knows it.
type mirror struct {
	folder string
	hide   func(string) string
	live   func(state string) bool // things in other states are kept as their version alone
	asks   bool                    // full states are answers of the other system, not messages: the last one is true
	now    func() time.Time
	told   func(states []string) error // Options.Arrived

	mu       sync.Mutex // guards everything below
	log      *durable.Log
	number   int // of the log's folder: there is a new one each time it is written anew
	entries  int // in it
	items    map[string]*Item
	numbers  map[string][]string        // by hidden number → ids
	mine     map[string]map[string]bool // by assignee in small letters → ids
	messages map[string]time.Time       // ids of messages that can come again within the window
	swept    time.Time
	heard    time.Time
	note     string
	turns    uint64
	failing  bool // the last message could not be kept
}

// openMirror reads what is kept in a folder. asks: see mirror.
func openMirror(folder string, asks bool, o Options) (*mirror, error) {
	m := &mirror{
		folder: folder, hide: o.Hide, live: o.Live, asks: asks, now: o.Now, told: o.Arrived, items: map[string]*Item{}, numbers: map[string][]string{}, mine: map[string]map[string]bool{},
		messages: map[string]time.Time{},
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("keep a mirror: %w", err)
	}
	numbers, err := m.logs()
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(numbers) {
		whole, err := m.load(n)
		if err != nil {
			return nil, err
		}
		if whole || n == numbers[0] {
			break
		}
		// A crash came between: the copy is not whole, and the log before it is.
		if err := errors.Join(m.log.Close(), os.RemoveAll(m.path(n))); err != nil {
			return nil, fmt.Errorf("keep a mirror: %w", err)
		}
		m.reset()
	}
	if len(numbers) == 0 {
		if _, err := m.load(1); err != nil {
			return nil, err
		}
	}
	for _, n := range numbers {
		if n < m.number {
			_ = os.RemoveAll(m.path(n)) // it is copied whole; another start tries again
		}
	}
	return m, nil
}

func (m *mirror) reset() {
	clear(m.items)
	clear(m.numbers)
	clear(m.mine)
	clear(m.messages)
	m.entries, m.note, m.heard = 0, "", time.Time{}
}

func (m *mirror) path(n int) string { return filepath.Join(m.folder, strconv.Itoa(n)) }

// logs are the numbers of the logs in the folder, in order.
func (m *mirror) logs() ([]int, error) {
	names, err := os.ReadDir(m.folder)
	if err != nil {
		return nil, fmt.Errorf("keep a mirror: %w", err)
	}
	var numbers []int
	for _, name := range names {
		if n, err := strconv.Atoi(name.Name()); err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// load opens a log and folds what is in it. whole: it begins with a whole copy, or is the first one.
func (m *mirror) load(n int) (whole bool, err error) {
	log, err := durable.Open(m.path(n), durable.Options{SegmentBytes: 1 << 20})
	if err != nil {
		return false, fmt.Errorf("keep a mirror: %w", err)
	}
	m.log, m.number, whole = log, n, n == 1
	r := log.Reader(1)
	defer func() { _ = r.Close() }() // it only read
	for {
		_, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			err = r.Damage() // what is lost may have been the end of a reason
			if err == nil {
				return whole, nil
			}
		}
		e := &entry{}
		if err == nil {
			err = json.Unmarshal(payload, e)
		}
		if err != nil {
			err = fmt.Errorf("read the mirror in %s: %w (take the folder away: the other system must then send everything anew)", m.folder, err)
			return false, errors.Join(err, log.Close())
		}
		m.entries++
		whole = whole || e.Whole
		m.fold(e)
	}
}

// known tells whether a message was taken already.
func (m *mirror) known(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.messages[id]
	return ok
}

// take keeps a message durably, and then goes by it. It returns how many of its items were news.
func (m *mirror) take(e *entry) (news int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.ID != "" {
		if _, ok := m.messages[e.ID]; ok {
			return 0, nil
		}
	}
	kept := *e
	kept.Items = nil
	for _, item := range e.Items {
		if before := m.items[item.ID]; before == nil || item.Version >= before.Version {
			kept.Items = append(kept.Items, item)
		}
	}
	if len(kept.Items) > 0 || kept.Note != m.note && kept.Note != "" {
		if err := m.arrived(kept.Items); err != nil {
			return 0, err
		}
		if err := m.append(&kept); err != nil {
			return 0, err
		}
	}
	m.fold(&kept)
	m.sweep()
	return len(kept.Items), m.renew()
}

// arrived puts states on record before anything goes by them. m.mu is held.
func (m *mirror) arrived(items []Item) error {
	if m.told == nil || len(items) == 0 {
		return nil
	}
	states := make([]string, len(items))
	for i := range items {
		text, err := json.Marshal(items[i])
		if err != nil {
			return fmt.Errorf("keep a message: %w", err)
		}
		states[i] = string(text)
	}
	if err := m.told(states); err != nil {
		m.failing = true
		return fmt.Errorf("keep a message: %w", err)
	}
	return nil
}

func (m *mirror) append(e *entry) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("keep a message: %w", err)
	}
	_, err = m.log.Append(payload)
	if m.failing = err != nil; m.failing {
		return fmt.Errorf("keep a message: %w", err)
	}
	m.entries++
	return nil
}

// alive is an error where the other system was not heard of for too long, or what it says cannot be kept: something may have been closed.
func (m *mirror) alive(silent time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.failing:
		return errors.New("what the other system sends cannot be kept")
	case m.now().Sub(m.heard) > silent:
		return purpose.ErrSilent
	}
	return nil
}

// fold goes by an entry. m.mu is held, but for while it is opened.
func (m *mirror) fold(e *entry) {
	if e.ID != "" {
		m.messages[e.ID] = e.At
	}
	if !e.Late && e.At.After(m.heard) {
		m.heard = e.At
	}
	if e.Note != "" {
		m.note = e.Note
	}
	for i := range e.Items {
		item := e.Items[i]
		before := m.items[item.ID]
		if before != nil && !m.follows(&item, before) {
			continue
		}
		if item.Seen.IsZero() {
			item.Seen = e.At
		}
		if item.Gone || !m.live(item.State) {
			item = Item{Thing: purpose.Thing{ID: item.ID, State: item.State}, Version: item.Version, Gone: item.Gone, Bare: item.Bare, Seen: item.Seen}
		}
		m.drop(before)
		m.turns++
		item.turn = m.turns
		m.put(&item)
	}
}

// turn tells the present state of a thing from every later one.
func (m *mirror) turn(id string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if item := m.items[id]; item != nil {
		return item.turn
	}
	return 0
}

// takeAt is take of one thing of which nothing was said since a turn.
func (m *mirror) takeAt(turn uint64, e *entry) (taken bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.items[e.Items[0].ID]
	if before != nil && (before.turn != turn || before.Version > e.Items[0].Version) {
		return false, nil
	}
	if err := m.arrived(e.Items); err != nil {
		return false, err
	}
	if err := m.append(e); err != nil {
		return false, err
	}
	m.fold(e)
	return true, m.renew()
}

// follows tells whether a state comes after the one that is known. Of two different ones with the same version nobody knows which is the
// later: then neither is a reason.
func (m *mirror) follows(item, before *Item) bool {
	switch {
	case item.Version != before.Version:
		return item.Version > before.Version
	case item.Bare || before.Bare || m.asks:
		return true // the other system is asked, or was
	case before.Unsure || !sameItem(item, before):
		item.Unsure = true
	}
	return true
}

// sameItem tells whether two states say the same.
func sameItem(a, b *Item) bool {
	x, y := *a, *b
	x.Unsure, y.Unsure = false, false
	x.Seen, y.Seen = time.Time{}, time.Time{}
	one, err1 := json.Marshal(x)
	other, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && string(one) == string(other)
}

func (m *mirror) drop(item *Item) {
	if item == nil {
		return
	}
	delete(m.items, item.ID)
	if item.Number != "" {
		m.numbers[item.Number] = slices.DeleteFunc(m.numbers[item.Number], func(id string) bool { return id == item.ID })
		if len(m.numbers[item.Number]) == 0 {
			delete(m.numbers, item.Number)
		}
	}
	name := strings.ToLower(item.Assignee)
	if of := m.mine[name]; of != nil {
		if delete(of, item.ID); len(of) == 0 {
			delete(m.mine, name)
		}
	}
}

func (m *mirror) put(item *Item) {
	m.items[item.ID] = item
	if item.Gone {
		return
	}
	if item.Number != "" {
		m.numbers[item.Number] = append(m.numbers[item.Number], item.ID)
	}
	if name := strings.ToLower(item.Assignee); name != "" {
		of := m.mine[name]
		if of == nil {
			of = map[string]bool{}
			m.mine[name] = of
		}
		of[item.ID] = true
	}
}

// find are the items that a reference names.
func (m *mirror) find(ref purpose.Ref) []Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Item
	if item := m.items[ref.Text]; item != nil && !item.Gone {
		found = append(found, *item)
	}
	if item := m.items[ref.Number]; ref.Number != "" && item != nil && !item.Gone {
		found = append(found, *item)
	}
	for _, number := range []string{ref.Text, ref.Number} {
		if number == "" {
			continue
		}
		for _, id := range m.numbers[m.hide(number)] {
			if item := m.items[id]; item != nil && len(found) < 2 && !slices.ContainsFunc(found, func(f Item) bool { return f.ID == id }) {
				found = append(found, *item)
			}
		}
	}
	return found
}

// of are the items of somebody, the newest first.
func (m *mirror) of(names []string, most int) []Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Item
	for _, name := range names {
		for id := range m.mine[name] {
			found = append(found, *m.items[id])
		}
	}
	slices.SortFunc(found, func(a, b Item) int { return b.From.Compare(a.From) })
	return found[:min(len(found), most)]
}

// last is when the other system was heard of last.
func (m *mirror) last() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard
}

// noted is what was kept beside things.
func (m *mirror) noted() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.note
}

// close ends the log.
func (m *mirror) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Close()
}
