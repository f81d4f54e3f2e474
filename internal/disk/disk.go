// Package disk is one folder of files as a log sees it, and a simulated one (Sim) that can be made full, broken or forgetful.
//
// It refuses to be a file system: there are no folders, modes or times. The real folder is in internal/durable.
package disk

import (
	"errors"
	"io"
)

// Disk is one folder of files.
type Disk interface {
	List() ([]string, error)
	Open(name string) (File, error)   // for reading and writing
	Create(name string) (File, error) // empties an existing file
	Rename(from, to string) error     // replaces to
	Remove(name string) error
	Sync() error // makes creations, renames and removals durable
}

// File is one open file. Sync makes its data and its size durable. WriteAt may do so already; an error that Sync would have returned is an
// ErrUnsynced then.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Size() (int64, error)
	Sync() error
	Close() error
}

// ErrUnsynced says that what was written may or may not be on stable storage, and that no later sync of the file proves anything.
var ErrUnsynced = errors.New("write and sync")
