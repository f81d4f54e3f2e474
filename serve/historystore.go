package serve

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"slices"

	"sallyport"
	"sallyport/config"
	"sallyport/history"
	"sallyport/history/apart"
	"sallyport/history/duck"
)

// HistoryStore is the command that serve starts to keep history.
const HistoryStore = "history-store"

// OpenStoreOn serves a store over the socket that serve gave.
func OpenStoreOn(socket *os.File) error {
	conn, err := net.FileConn(socket)
	if err != nil {
		return config.Usagef("%s is started by serve, and by nobody else", HistoryStore)
	}
	defer conn.Close()
	return apart.Serve(conn, openDuck)
}

// openDuck opens the history in DuckDB that serve has named.
func openDuck(o apart.Opening) (history.Store, error) {
	names, err := history.OpenNames(filepath.Join(o.Folder, PseudonymKey))
	if err != nil {
		return nil, err
	}
	names.Service = func(who sallyport.Staff) bool { return slices.Contains(o.Programs, who) }
	memory := cmp.Or(o.Memory, config.DefaultHistoryMemory)
	keepWithin(memory)
	store, err := duck.Open(o.Folder, duck.Options{
		Record: o.Record, Names: names, Memory: duckMemory(memory),
		Tells: func(c sallyport.Column) bool { return slices.Contains(o.Tells, c.String()) },
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}
