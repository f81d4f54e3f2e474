package intake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sallyport/record"
)

// ids are the ids of what was imported, in a file: as many as there are, and none of them in memory. It holds nothing that the access
// stream does not hold, and is made again from it where it is lost, damaged or another record's.
type ids struct {
	db     *bbolt.DB
	record string
}

// idsName is the file, in the data folder.
const idsName = "imported.db"

// idLockWait is how long the file may be in use by another process.
const idLockWait = time.Second

func bucketOfIDs() []byte  { return []byte("ids") }
func bucketOfMeta() []byte { return []byte("meta") }
func keyOfRecord() []byte  { return []byte("record") }
func keyOfPlace() []byte   { return []byte("position") }

// openIDs opens the file for a record, or begins it anew.
func openIDs(data string, stream *record.Stream) (*ids, error) {
	path := filepath.Join(data, idsName)
	k, err := tryIDs(path, stream)
	if err == nil || errors.Is(err, bolterrors.ErrTimeout) {
		return k, err
	}
	if err := os.Remove(path); err != nil { // damaged, or another record's
		return nil, fmt.Errorf("begin the ids of imports anew: %w", err)
	}
	return tryIDs(path, stream)
}

var errOtherRecord = errors.New("ids of another record") //nolint:gochecknoglobals // a sentinel

func tryIDs(path string, stream *record.Stream) (*ids, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: idLockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open the ids of imports in %s: %w", path, err)
	}
	k := &ids{db: db, record: stream.ID()}
	err = db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(bucketOfIDs()); err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists(bucketOfMeta())
		if err != nil {
			return err
		}
		of := meta.Get(keyOfRecord())
		if of == nil {
			return meta.Put(keyOfRecord(), []byte(k.record))
		}
		if string(of) != k.record || placeIn(meta) > stream.Last() {
			return errOtherRecord
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the ids of imports in %s: %w", path, err), db.Close())
	}
	return k, nil
}

func placeIn(meta *bbolt.Bucket) uint64 {
	if b := meta.Get(keyOfPlace()); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// position is the entry up to which the stream was read for ids.
func (k *ids) position() (at uint64, err error) {
	err = k.db.View(func(tx *bbolt.Tx) error {
		at = placeIn(tx.Bucket(bucketOfMeta()))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the ids of imports: %w", err)
	}
	return at, nil
}

// known tells which of some ids are there.
func (k *ids) known(keys [][16]byte) ([]bool, error) {
	there := make([]bool, len(keys))
	err := k.db.View(func(tx *bbolt.Tx) error {
		ids := tx.Bucket(bucketOfIDs())
		for i := range keys {
			there[i] = ids.Get(keys[i][:]) != nil
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the ids of imports: %w", err)
	}
	return there, nil
}

// add puts ids and how far the stream was read, all of it or nothing. What is added MUST be durable in the stream: an id without its entry would keep
// the access out for ever.
func (k *ids) add(keys [][16]byte, position uint64) error {
	sorted := slices.Clone(keys) // neighbours share pages
	slices.SortFunc(sorted, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	err := k.db.Update(func(tx *bbolt.Tx) error {
		ids, meta := tx.Bucket(bucketOfIDs()), tx.Bucket(bucketOfMeta())
		for i := range sorted {
			if err := ids.Put(sorted[i][:], nil); err != nil {
				return err
			}
		}
		return meta.Put(keyOfPlace(), binary.BigEndian.AppendUint64(nil, max(position, placeIn(meta))))
	})
	if err != nil {
		return fmt.Errorf("keep the ids of imports: %w", err)
	}
	return nil
}

// Close gives the file free.
func (k *ids) Close() error { return k.db.Close() }
