package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sallyport/internal/disk"
)

// Disk is where a log lies: a folder, or in tests of faults a simulated one.
type Disk = disk.Disk

// File is one of its files.
type File = disk.File

const lockName = "lock"

// folder is the real Disk, with a lock that ends with the process.
type folder struct {
	dir  string
	lock *os.File
}

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create lock file: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the folder: %w", err), lock.Close())
	}
	return &folder{dir: dir, lock: lock}, nil
}

// Folder is the real disk, for who puts something in front of it.
func Folder(dir string) (Disk, error) {
	d, err := openFolder(dir)
	if err != nil {
		return nil, err // not a nil folder in an interface
	}
	return d, nil
}

// Close gives the lock free.
func (d *folder) Close() error { return d.lock.Close() }

func (d *folder) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d *folder) Open(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f}, nil
}

func (d *folder) Create(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, direct: openDirect(f, true)}, nil
}

func (d *folder) Rename(from, to string) error {
	return os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
}

func (d *folder) Remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }

func (d *folder) Sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// diskFile is a real file. Most are only read, so what writes is made for the first write.
type diskFile struct {
	*os.File
	direct *direct
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	if f.direct == nil {
		f.direct = openDirect(f.File, false)
	}
	return f.direct.writeAt(b, off)
}

func (f *diskFile) Truncate(size int64) error {
	if f.direct == nil {
		return f.File.Truncate(size)
	}
	return f.direct.truncate(size)
}

func (f *diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *diskFile) Sync() error {
	if f.direct != nil && !f.direct.unsynced {
		return nil
	}
	err := SyncData(f.File)
	if f.direct != nil {
		f.direct.unsynced = err != nil
	}
	return err
}

func (f *diskFile) Close() error {
	if f.direct != nil {
		f.direct.close()
	}
	return f.File.Close()
}
