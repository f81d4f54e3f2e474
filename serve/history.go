package serve

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/history"
	"sallyport/history/apart"
	"sallyport/history/duck"
	"sallyport/record"
)

// HistoryFolder is where history lies in the data folder.
const HistoryFolder = "history"

// PseudonymKey is the key of pseudonyms, in that folder.
const PseudonymKey = "pseudonyms.key"

// historyWait lets a start be over before history is opened; the record answers until then.
const historyWait = time.Second

// historyPace has history work beside the queries that pass. With what an entry waits for others it is at most two seconds behind.
func historyPace() record.Pace {
	return record.Pace{Gather: 100 * time.Millisecond, Rush: rush, Part: 10, Behind: 800 * time.Millisecond}
}

// openHistory makes ready what keeps history; it is opened and fed once serve runs.
func (s *Server) openHistory() error {
	folder := filepath.Join(s.O.Data, HistoryFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	var err error
	if s.Names, err = Pseudonyms(s.O.Config, s.O.Data); err != nil {
		return err
	}
	settings := s.O.Config.History
	if settings.Off {
		return nil
	}
	s.history = &history.Keeper{
		Record: s.AccessStream.Paced(historyPace()),
		Open:   func() (history.Store, error) { return s.startHistory(folder) },
		Wipe:   func() error { return duck.Wipe(folder) },
		Days:   cmp.Or(settings.Days, config.DefaultHistoryDays),
		Wait:   historyWait,
		Now:    s.O.Clock,
		Tell:   func(what string, cause error) { s.log.Warn(what, "cause", cause.Error()) },
	}
	return nil
}

// Pseudonyms are those that a data folder has, by its key; one that has none yet gets one.
func Pseudonyms(c *config.Config, data string) (*history.Names, error) {
	folder := filepath.Join(data, HistoryFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil { //nolint:gosec // the operator's data folder
		return nil, fmt.Errorf("open the pseudonyms: %w", err)
	}
	names, err := history.OpenNames(filepath.Join(folder, PseudonymKey))
	if err != nil {
		return nil, err
	}
	names.Service = func(who sallyport.Staff) bool {
		_, ok := c.Services[string(who)]
		return ok
	}
	return names, nil
}

// startHistory starts the process that keeps history.
func (s *Server) startHistory(folder string) (history.Store, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start history's process: %w", err)
	}
	o := apart.Opening{Folder: folder, Record: s.AccessStream.ID(), Memory: s.O.Config.History.Memory}
	for name, column := range s.O.Config.Protect.Columns {
		if config.Identifies(column.Scheme) {
			o.Tells = append(o.Tells, name)
		}
	}
	for service := range s.O.Config.Services {
		o.Programs = append(o.Programs, sallyport.Staff(service))
	}
	store, err := apart.Start(exec.Command(self, HistoryStore), o) //nolint:gosec,noctx // this very program; it ends when serve does
	if err != nil {
		return nil, err
	}
	return store, nil
}

// apiHistory is what the api asks.
func (s *Server) apiHistory() *api.History {
	if s.history == nil {
		return nil
	}
	return &api.History{Lend: s.history.Lend, Rebuild: s.history.Rebuild, Bounds: s.O.Config.History.Bounds()}
}

// historyStatus says how far history is.
func (s *Server) historyStatus() []api.Standby {
	if s.history == nil {
		return nil
	}
	return []api.Standby{{What: "history", How: s.history.Status()}}
}
