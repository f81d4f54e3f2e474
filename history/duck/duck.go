// Package duck keeps history in DuckDB, in one file that serve has open.
//
// It refuses to store a name: people, sessions, addresses and purposes stand in its tables by pseudonyms, and what they are called lies beside
// them sealed, so that no question in SQL, whatever hole it finds, reads more than who browses may see. It never writes a file other than its
// own, and keeps within the memory that it is given.
//
// Invariant: the position and the rows of the entries up to it are one transaction. The schema stands in docs/history.md.
package duck

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"sallyport"
	"sallyport/history"
)

// Options of Open.
type Options struct {
	Record  string                      // the id of the record that it is the history of
	Names   *history.Names              // gives pseudonyms and seals names
	Tells   func(sallyport.Column) bool // equal values of this column mean the same customer; nil: none does
	Memory  int                         // MiB that DuckDB may use; 0: DefaultMemory
	Threads int                         // 0: one for each processor

	ExposedRows int // values of one part of Exposed; 0: exposedRows. For tests
	CompactRows int // fresh rows that are sorted in together; 0: compactRows. For tests
}

// DefaultMemory is what DuckDB may use, in MiB. What it keeps beside its buffers comes on top (docs/history.md).
const DefaultMemory = 384

// fileName is the database's in its folder.
const fileName = "history.duckdb"

// fileHead is what DuckDB writes before anything else: whoever made a file that is shorter was killed before it was one.
const fileHead = 3 * 4096

// Store is an open history. It is safe for use by many goroutines.
type Store struct {
	o    Options
	file string
	db   *sql.DB

	mu     sync.Mutex // held while it is written; guards what follows
	writer *sql.Conn
	at     uint64
	fresh  int  // rows that are not compacted
	due    bool // they are to be, once nothing else is
	day    int32
	run    int32 // of the last compaction
	dict   *dictionaries
	sorter *sql.Conn // compacts beside what is added
	beside *sorting  // what it is at; nil: nothing
}

var _ history.Store = (*Store)(nil)

// Open opens the history in a folder, making both where they are not there. errors.Is(err, history.ErrBroken) where it is to be made again.
func Open(folder string, o Options) (*Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil { //nolint:gosec // the operator's data folder
		return nil, fmt.Errorf("open history: %w", err)
	}
	s := &Store{o: o, file: filepath.Join(folder, fileName)}
	info, err := os.Stat(s.file) //nolint:gosec // likewise
	made := errors.Is(err, os.ErrNotExist)
	if err == nil && info.Size() < fileHead {
		made = true
		if err := Wipe(folder); err != nil {
			return nil, fmt.Errorf("open history: remove the beginning of %s: %w", s.file, err)
		}
	}
	if err := s.connect(); err != nil {
		return nil, broken("open history "+s.file, err)
	}
	ctx := context.Background()
	if made || s.empty(ctx) {
		err = transact(ctx, s.writer, func() error { return s.create(ctx) })
	} else {
		err = s.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Wipe removes the history of a folder, but for the key of its pseudonyms.
func Wipe(folder string) error {
	var errs []error
	for _, name := range []string{fileName, fileName + ".wal", fileName + ".wal.checkpoint", fileName + ".wal.recovery", "spill"} {
		errs = append(errs, os.RemoveAll(filepath.Join(folder, name))) //nolint:gosec // the operator's data folder
	}
	return errors.Join(errs...)
}

// connect opens the file. What is set here cannot be set again afterwards, by nobody.
func (s *Store) connect() error {
	memory := s.o.Memory
	if memory == 0 {
		memory = DefaultMemory
	}
	settings := []string{
		fmt.Sprintf("SET memory_limit = '%dMiB'", memory),
		"SET temp_directory = '" + strings.ReplaceAll(filepath.Join(filepath.Dir(s.file), "spill"), "'", "''") + "'",
		"SET max_temp_directory_size = '2GiB'",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allow_community_extensions = false",
		"SET preserve_insertion_order = true",
		// Each compaction ends with a checkpoint. Those in between would write rows into the file that the next compaction takes out again.
		"SET checkpoint_threshold = '256MiB'",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}
	if s.o.Threads > 0 {
		settings = append([]string{fmt.Sprintf("SET threads = %d", s.o.Threads)}, settings...)
	}
	var once sync.Once
	connector, err := duckdb.NewConnector(s.file, func(conn driver.ExecerContext) (err error) {
		once.Do(func() {
			for _, set := range settings {
				if _, err = conn.ExecContext(context.Background(), set, nil); err != nil {
					return
				}
			}
		})
		return err
	})
	if err != nil {
		return err
	}
	s.db = sql.OpenDB(connector)
	if s.writer, err = s.db.Conn(context.Background()); err == nil {
		s.sorter, err = s.db.Conn(context.Background())
	}
	if err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// empty says whether a file that is there has no table: whoever made it was killed before they were.
func (s *Store) empty(ctx context.Context) bool {
	tables := 1
	err := s.writer.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_tables()").Scan(&tables)
	return err == nil && tables == 0
}

// create makes the tables of an empty file.
func (s *Store) create(ctx context.Context) error {
	s.dict = newDictionaries(s.o)
	for _, statement := range append(schema(), views()...) {
		if _, err := s.writer.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create history: %w", err)
		}
	}
	for k, v := range map[string]string{"format": format, "record": s.o.Record, "epoch": s.o.Names.Epoch()} {
		if _, err := s.writer.ExecContext(ctx, "INSERT INTO meta VALUES (?, ?)", k, v); err != nil {
			return fmt.Errorf("create history: %w", err)
		}
	}
	return nil
}

// load reads what stands in a file that was there.
func (s *Store) load(ctx context.Context) error {
	for k, want := range map[string]string{"format": format, "record": s.o.Record, "epoch": s.o.Names.Epoch()} {
		var v string
		if err := s.writer.QueryRowContext(ctx, "SELECT v FROM meta WHERE k = ?", k).Scan(&v); err != nil {
			return fmt.Errorf("read history %s: %w: %w", s.file, history.ErrBroken, err)
		}
		if v != want {
			return fmt.Errorf("read history %s: its %s is %q, expected %q: %w", s.file, k, v, want, history.ErrBroken)
		}
	}
	if err := s.reload(ctx); err != nil {
		return broken("read history "+s.file, err)
	}
	return nil
}

// reload reads the position and the dictionaries, in place of what is in memory.
func (s *Store) reload(ctx context.Context) error {
	err := s.writer.QueryRowContext(ctx, "SELECT (SELECT max(entry) FROM position), (SELECT count(*) FROM fresh), (SELECT coalesce(max(day), 0) FROM fresh), (SELECT coalesce(max(run), 0) FROM seen)").Scan(&s.at, &s.fresh, &s.day, &s.run)
	if err != nil {
		return err
	}
	s.dict, err = loadDictionaries(ctx, s.writer, s.o)
	return err
}

// Position is history.Store's.
func (s *Store) Position(ctx context.Context) (history.Position, error) {
	var at uint64
	if err := s.db.QueryRowContext(ctx, "SELECT max(entry) FROM position").Scan(&at); err != nil {
		return history.Position{}, broken("read the position of history", err)
	}
	return history.Position{Record: s.o.Record, Entry: at}, nil
}

// Close ends it, with everything in the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsorted := s.sorted(context.Background(), true)
	err := errors.Join(s.writer.Close(), s.sorter.Close(), s.db.Close())
	if err == nil && errors.Is(unsorted, history.ErrBroken) {
		err = unsorted // of another failure nothing is lost: the rows lie unsorted
	}
	if err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

// broken tells damage, which no trying again mends, from what does not concern the file, such as a full disk.
func broken(doing string, err error) error {
	if e := (*duckdb.Error)(nil); errors.As(err, &e) {
		switch e.Type {
		case duckdb.ErrorTypeFatal, duckdb.ErrorTypeInternal, duckdb.ErrorTypeSerialization, duckdb.ErrorTypeCatalog:
			return fmt.Errorf("%s: %w: %w", doing, history.ErrBroken, err)
		case duckdb.ErrorTypeIO:
			if !strings.Contains(e.Msg, "No space left") && !strings.Contains(e.Msg, "Could not set lock") {
				return fmt.Errorf("%s: %w: %w", doing, history.ErrBroken, err)
			}
		default:
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// The ids of customers: the number where the key is one, else what the key hashes to, which is negative.
const nobody = -1 << 63 // nobody knows whose

func customerID(key sallyport.Subject) int64 {
	if key == "" {
		return nobody
	}
	if n, ok := sallyport.WholeNumber(key); ok && n < 1<<63 {
		return int64(n) //nolint:gosec // checked
	}
	return hashedKey(key)
}
