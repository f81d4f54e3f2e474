package duck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// The driver takes rows one by one, value by value, and waits for a statement by asking again and again. Here DuckDB's C interface, which the
// driver hands on as mapping, is called itself, on the driver's connection.

// under is DuckDB's connection under one of the driver's, which offers no way to it.
func under(conn any) (mapping.Connection, error) {
	v := reflect.Indirect(reflect.ValueOf(conn))
	if v.Kind() == reflect.Struct {
		if f := v.FieldByName("conn"); f.IsValid() && f.Type() == reflect.TypeFor[mapping.Connection]() {
			return mapping.Connection{Ptr: f.FieldByName("Ptr").UnsafePointer()}, nil
		}
	}
	return mapping.Connection{}, fmt.Errorf("find DuckDB's connection in a %T: this version of the driver keeps it elsewhere; take the version that go.mod names", conn)
}

// loader appends rows to one table, none of whose values is NULL: they are written into memory of DuckDB's, and cross over by the thousand.
type loader struct {
	appender mapping.Appender
	types    []mapping.LogicalType
	chunk    mapping.DataChunk
	n        int    // rows in chunk
	view     func() // takes the columns' memory anew
}

// perChunk is how many rows cross over together: DuckDB's own number.
const perChunk = 2048

// open begins with a table whose columns MUST be of these types; view takes their memory by column.
func (l *loader) open(conn any, table string, view func(), types ...mapping.Type) error {
	raw, err := under(conn)
	if err != nil {
		return err
	}
	if n := mapping.VectorSize(); n != perChunk {
		return fmt.Errorf("append to %s: DuckDB takes %d rows at a time, expected %d", table, n, perChunk)
	}
	if mapping.AppenderCreateExt(raw, "", "", table, &l.appender) == mapping.StateError {
		return errors.Join(l.said(), l.close())
	}
	for i := range mapping.AppenderColumnCount(l.appender) {
		l.types = append(l.types, mapping.AppenderColumnType(l.appender, i))
	}
	is := len(l.types) == len(types)
	for i := 0; is && i < len(types); i++ {
		is = mapping.GetTypeId(l.types[i]) == types[i]
	}
	if !is {
		return errors.Join(fmt.Errorf("append to %s: its columns are not those that were expected", table), l.close())
	}
	l.chunk, l.view = mapping.CreateDataChunk(l.types), view
	l.view()
	return nil
}

// column is the memory of a column of the chunk, until it has crossed over.
func column[T any](l *loader, i int) []T {
	return unsafe.Slice((*T)(mapping.VectorGetData(mapping.DataChunkGetVector(l.chunk, mapping.IdxT(i)))), perChunk) //nolint:gosec // small; the type was looked at by open
}

// next ends a row.
func (l *loader) next() error {
	if l.n++; l.n < perChunk {
		return nil
	}
	return l.cross()
}

func (l *loader) cross() error {
	if l.n == 0 {
		return nil
	}
	mapping.DataChunkSetSize(l.chunk, mapping.IdxT(l.n)) //nolint:gosec // small
	if mapping.AppendDataChunk(l.appender, l.chunk) == mapping.StateError {
		return l.said()
	}
	mapping.DataChunkReset(l.chunk)
	l.n = 0
	l.view()
	return nil
}

// said is the appender's last error, as the driver has it.
func (l *loader) said() error {
	data := mapping.AppenderErrorData(l.appender)
	defer mapping.DestroyErrorData(&data)
	return &duckdb.Error{Type: duckdb.ErrorType(mapping.ErrorDataErrorType(data)), Msg: mapping.ErrorDataMessage(data)}
}

// close appends what is left, and ends it.
func (l *loader) close() (err error) {
	if l.chunk.Ptr != nil {
		if err = l.cross(); err == nil && mapping.AppenderFlush(l.appender) == mapping.StateError {
			err = l.said()
		}
		if err != nil {
			mapping.AppenderClear(l.appender)
		}
		mapping.DestroyDataChunk(&l.chunk)
	}
	for i := range l.types {
		mapping.DestroyLogicalType(&l.types[i])
	}
	l.types = nil
	mapping.AppenderDestroy(&l.appender)
	return err
}

// idle is how long a statement leaves the processor to others while all that is left of it is done elsewhere.
const idle = 200 * time.Microsecond

// patiently does a statement that takes long. To wait for what DuckDB's own threads do of it the driver asks without a pause, which takes a
// processor from who adds.
func patiently(ctx context.Context, conn *sql.Conn, statement string) error {
	did := false
	err := conn.Raw(func(c any) (err error) {
		raw, err := under(c)
		if err != nil {
			return err
		}
		var prepared mapping.PreparedStatement
		defer mapping.DestroyPrepare(&prepared)
		if mapping.Prepare(raw, statement, &prepared) == mapping.StateError {
			return nil
		}
		did = true
		return perform(prepared)
	})
	if err != nil || did {
		return err
	}
	_, err = conn.ExecContext(ctx, statement) // the driver says what is wrong with it
	return err
}

func perform(prepared mapping.PreparedStatement) error {
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	if mapping.PendingPrepared(prepared, &pending) != mapping.StateError {
		wait := time.NewTimer(idle)
		defer wait.Stop()
		for state := mapping.PendingExecuteTask(pending); !mapping.PendingExecutionIsFinished(state) && state != mapping.PendingStateError; state = mapping.PendingExecuteTask(pending) {
			if state == mapping.PendingStateNoTasksAvailable {
				wait.Reset(idle)
				<-wait.C
			}
		}
	}
	var result mapping.Result
	defer mapping.DestroyResult(&result)
	if mapping.ExecutePending(pending, &result) == mapping.StateError {
		return &duckdb.Error{Type: duckdb.ErrorType(mapping.ResultErrorType(&result)), Msg: mapping.ResultError(&result)}
	}
	return nil
}
