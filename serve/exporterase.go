package serve

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/control"
	"sallyport/export"
	logs "sallyport/sources"
)

// keptLines is something that keeps messages on this machine.
type keptLines interface {
	Erase(gone func(uid string) bool) (int, error)
}

// keeps notes what an output keeps here, or that it sends elsewhere.
func (x *outputs) keeps(name string, sink export.Sink, dead *export.DeadFile) {
	if x.kept == nil {
		x.kept = map[string][]keptLines{}
	}
	x.kept[name] = append(x.kept[name], dead)
	if own, ok := sink.(keptLines); ok {
		x.kept[name] = append(x.kept[name], own)
		return
	}
	x.sent = append(x.sent, name)
}

// erase takes what lists name out of the files that outputs keep here, and counts the lines. It reads each file once. What outputs hold in memory
// of it stays there, from before the files are read.
func (x *outputs) erase(lists []control.Erasure) (int, error) {
	if x == nil || len(x.kept) == 0 {
		return 0, nil
	}
	x.forget(lists)
	var each []func(string) bool
	for i := range lists {
		each = append(each, erasedIDs(&lists[i].List))
	}
	gone := func(uid string) bool {
		return slices.ContainsFunc(each, func(of func(string) bool) bool { return of(uid) })
	}
	lines := 0
	var errs []error
	for _, of := range x.kept {
		for _, k := range of {
			n, err := k.Erase(gone)
			lines += n
			errs = append(errs, err)
		}
	}
	return lines, errors.Join(errs...)
}

// forget has outputs let nothing go that lists name. An older list is needed until each output of its stream has come by the end of it.
func (x *outputs) forget(lists []control.Erasure) {
	x.lists = append(slices.DeleteFunc(x.lists, func(l control.Erasure) bool {
		return !slices.ContainsFunc(x.pumps, func(p *export.Pump) bool {
			return x.watched[p.Name].ID() == l.List.Record && p.Cursor.Position() < l.List.Runs[len(l.List.Runs)-1]
		})
	}), lists...)
	var each []func(string) bool
	for i := range x.lists {
		each = append(each, erasedIDs(&x.lists[i].List))
	}
	for _, door := range x.doors {
		door.forget(func(uid string) bool {
			return slices.ContainsFunc(each, func(of func(string) bool) bool { return of(uid) })
		})
	}
}

// owes says who was sent what is erased here: nobody can make him forget it.
func (x *outputs) owes() string {
	if x == nil || len(x.sent) == 0 {
		return ""
	}
	return "; sent to " + strings.Join(slices.Sorted(slices.Values(x.sent)), ", ") + " before, which are told by the entry that lists them"
}

// erasedIDs says whether a message is of an entry of a list.
func erasedIDs(list *sallyport.Erasure) func(uid string) bool {
	prefix := logs.UIDPrefix(list.Record)
	return func(uid string) bool {
		digits, ours := strings.CutPrefix(uid, prefix)
		digits, _, _ = strings.Cut(digits, ".")
		seq, err := strconv.ParseUint(digits, 10, 64)
		return ours && err == nil && inRuns(list.Runs, seq)
	}
}

// inRuns says whether runs, in ascending order, hold a sequence.
func inRuns(runs []uint64, seq uint64) bool {
	i := sort.Search(len(runs)/2, func(i int) bool { return runs[2*i+1] >= seq })
	return 2*i < len(runs) && runs[2*i] <= seq
}

// erasedNote is what stands on record once everything of a list is gone.
func erasedNote(entries uint64, lines int, owed string) string {
	note := fmt.Sprintf("%d entries", entries)
	if lines > 0 {
		note += fmt.Sprintf(", and %s of files that outputs keep here", Several(int64(lines), "line"))
	}
	return note + owed
}
