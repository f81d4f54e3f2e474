package durable

import (
	"strings"
	"syscall"

	"sallyport/internal/disk"
)

// simDisk is a simulated disk with a way to make it full.
type simDisk struct{ *disk.Sim }

func newSimDisk(seed uint64) *simDisk { return &simDisk{disk.NewSim(seed)} }

func cut(d *simDisk) *simDisk { return &simDisk{d.Cut()} }

// refuse makes the disk refuse one kind of operation with ENOSPC; "" ends it. "undo" refuses all writes and syncs.
func (d *simDisk) refuse(kind string) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	also := map[string]string{"undo": "write sync", "removes too": "syncfolder remove", "truncates too": "sync truncate"}[kind]
	once := kind == "one write"
	d.Fail = func(op, _ string) error {
		if once && op == "write" {
			once = false
			return syscall.ENOSPC
		}
		if kind != "" && (op == kind || strings.Contains(also, op)) {
			return syscall.ENOSPC
		}
		return nil
	}
}
