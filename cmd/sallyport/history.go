package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/history"
	"sallyport/history/duck"
)

// historyFolder is where history lies in the data folder.
const historyFolder = "history"

// pseudonymKey is the key of pseudonyms, in that folder.
const pseudonymKey = "pseudonyms.key"

// historyWait lets a start be over before history is opened; the record answers until then.
const historyWait = time.Second

// openHistory makes ready what keeps history; it is opened and fed once serve runs.
func (s *Server) openHistory() error {
	folder := filepath.Join(s.o.Data, historyFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	var err error
	if s.names, err = history.OpenNames(filepath.Join(folder, pseudonymKey)); err != nil {
		return err
	}
	s.names.Service = func(who sallyport.Staff) bool {
		_, ok := s.o.Config.Services[string(who)]
		return ok
	}
	config := s.o.Config.History
	if config.Off {
		return nil
	}
	s.history = &history.Keeper{
		Record: s.access,
		Open: func() (history.Store, error) {
			return duck.Open(folder, duck.Options{Record: s.access.ID(), Names: s.names, Tells: s.o.Config.identifies, Memory: config.Memory})
		},
		Wipe: func() error { return duck.Wipe(folder) },
		Days: cmp.Or(config.Days, defaultHistoryDays),
		Wait: historyWait,
		Now:  s.o.Clock,
		Tell: func(what string, cause error) { s.log.Warn(what, "cause", cause.Error()) },
	}
	return nil
}

// apiHistory is what the api asks.
func (s *Server) apiHistory() *api.History {
	if s.history == nil {
		return nil
	}
	return &api.History{Lend: s.history.Lend, Rebuild: s.history.Rebuild, Bounds: s.o.Config.History.bounds()}
}

// historyStatus says how far history is.
func (s *Server) historyStatus() []api.Standby {
	if s.history == nil {
		return nil
	}
	return []api.Standby{{What: "history", How: s.history.Status()}}
}

// wipeHistory removes it and, for a new epoch, the key of its pseudonyms.
func wipeHistory(data string, epoch bool) error {
	folder := filepath.Join(data, historyFolder)
	err := duck.Wipe(folder)
	if epoch {
		if gone := os.Remove(filepath.Join(folder, pseudonymKey)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return fmt.Errorf("remove history: %w", err)
	}
	return nil
}
