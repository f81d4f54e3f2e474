package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/program"
	"sallyport/program/reports"
	"sallyport/record"
	"sallyport/rulebook"
	logs "sallyport/sources"
)

// programReports makes reports of a running serve, one at a time: each reads the whole record.
func (s *Server) programReports(ctx context.Context, me sallyport.Staff, q *api.ReportQuestion, call func(sallyport.Staff) string) (json.RawMessage, error) {
	if !s.reporting.TryLock() {
		return nil, &api.Problem{Status: 429, Code: "busy", Sentence: "A report is being made already.", Hint: "One at a time: ask again in a moment."}
	}
	defer s.reporting.Unlock()
	r, err := s.programRecord(me, call)
	if err != nil {
		return nil, err
	}
	found, err := r.Report(ctx, q)
	if wrong := (*config.UsageError)(nil); errors.As(err, &wrong) {
		return nil, &api.Problem{Status: 400, Code: "bad_report", Sentence: "This report cannot be made: " + err.Error() + ".", Hint: "See docs/programme.md."}
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	return text, nil
}

// programRecord is the record of a running serve, as it stands, with the policies that hold.
func (s *Server) programRecord(me sallyport.Staff, call func(sallyport.Staff) string) (*reports.Record, error) {
	roster, config := s.staffing.now(), *s.O.Config
	config.Roster = roster
	approved, _ := s.State.Files()
	if b, err := keptBundle(s.O.Data, approved); err == nil && b.Config == config.Text {
		config.Kept = b.textsOr(&config)
	}
	set, _, err := rulebook.Load(&config, config.PolicyFolder())
	if err != nil {
		return nil, err
	}
	return &reports.Record{
		Config: &config, Set: set, Book: s.program, State: s.State, Roster: roster, Access: s.AccessStream, Control: s.ControlStream, Names: s.Names, Inputs: inputsOf(&config, s.AccessStream),
		Call: call, Asker: me, Beside: s.otherDatabases, Now: s.O.Clock(),
	}, nil
}

// inputsOf turns entries of a record into what detection reads, from the beginning.
func inputsOf(c *config.Config, access *record.Stream) func() reports.Inputs {
	return func() reports.Inputs {
		program := func(who sallyport.Staff) bool { return c.IsProgram(who) }
		h := hearing{parts: logs.Parts{Record: access.ID(), Service: program}, login: c.Owners(), program: program, desks: c.Helpdesks(), tickets: map[string]heardTicket{}}
		return reports.Inputs{Access: h.hear, Control: h.order}
	}
}

// RecordPlace is where a record is read that no serve holds open.
type RecordPlace struct {
	Config, Data, KeyFile string
	Getenv                func(string) string
}

// WithRecord opens a record and everything beside it.
func WithRecord(ctx context.Context, f *RecordPlace, do func(*reports.Record) error) (err error) {
	settings, err := config.Load(f.Config)
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.Data); err != nil {
		return config.Usagef("read the record: %w; expected --data FOLDER", err)
	}
	key, err := RecordKey(settings, ctx, Keyring{Data: f.Data, KeyFile: f.KeyFile, Getenv: f.Getenv}, false)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	r := &reports.Record{Config: settings, Book: program.NewBook(), State: control.NewState(), Call: func(who sallyport.Staff) string { return string(who) }, Now: time.Now()}
	r.Access, err = OpenRecord(f.Data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, f.Data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Access.Close()) }()
	if r.Control, err = OpenRecord(f.Data, "control", record.Options{Key: key}, quiet); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Control.Close()) }()
	r.Inputs = inputsOf(settings, r.Access)
	if r.Set, _, err = rulebook.ReplaySets(settings, r.Control, "", time.Now()); err != nil {
		return err
	}
	if r.Names, err = Pseudonyms(settings, f.Data); err != nil {
		return err
	}
	if err := r.Control.Read(1, func(e *sallyport.Event) error {
		r.State.Apply(e)
		r.Book.Apply(e)
		return ctx.Err()
	}); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	r.Roster = settings.Roster
	r.State.Advance(r.Now)
	return do(r)
}
