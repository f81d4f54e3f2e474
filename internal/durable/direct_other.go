//go:build !linux

package durable

import "os"

// direct writes as always; on Linux it writes past the page cache.
type direct struct {
	*os.File
	unsynced bool
}

func openDirect(f *os.File, _ bool) *direct { return &direct{f, true} }

func (d *direct) writeAt(b []byte, off int64) (int, error) {
	d.unsynced = true
	return d.WriteAt(b, off)
}

func (d *direct) truncate(size int64) error {
	d.unsynced = true
	return d.Truncate(size)
}

func (d *direct) close() {}
