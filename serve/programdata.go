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
	"sallyport/history"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/record"
	"sallyport/staff"
)

// ProgramRecord is a record that is read, with the configuration that it belongs to.
type ProgramRecord struct {
	Config          *config.Config
	set             *policy.Set // that hold today
	book            *program.Book
	state           *control.State
	roster          *staff.Roster
	access, control *record.Stream
	names           *history.Names                          // pseudonyms, in replays
	call            func(sallyport.Staff) string            // what those are called whose work is told
	asker           sallyport.Staff                         // who asked a running serve: what is about himself is not told; empty: somebody who has the files
	beside          func(context.Context) ([]string, error) // other databases of the server; nil: nobody can ask
	now             time.Time
}

// Report makes one of them.
func (r *ProgramRecord) Report(ctx context.Context, q *api.ReportQuestion) (any, error) {
	if len(q.Documents) == 0 && (q.Report == "drift" || q.Report == "board") {
		of := *q
		var err error
		if of.Documents, err = r.Config.DocumentTexts(); err != nil {
			return nil, err
		}
		q = &of
	}
	switch q.Report {
	case "assets":
		return r.assets(ctx, q.Days)
	case "board":
		return r.board(ctx, q)
	case "effect":
		return r.effects(ctx)
	case "drift":
		return r.drift(ctx, q)
	case "firms", "firm":
		return r.firms(ctx, q)
	case "handover":
		return r.handover(ctx, q)
	case "offboarding":
		return r.offboarding(ctx, q.Firm)
	case "privileges":
		return r.privilegesReport(ctx, q)
	case "separation":
		return r.Separation(ctx, q.Days)
	case "status":
		return r.status(ctx, q)
	}
	return nil, fmt.Errorf("there is no report %q", q.Report)
}

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
func (s *Server) programRecord(me sallyport.Staff, call func(sallyport.Staff) string) (*ProgramRecord, error) {
	roster, config := s.staffing.now(), *s.O.Config
	config.Roster = roster
	approved, _ := s.State.Files()
	if b, err := keptBundle(s.O.Data, approved); err == nil && b.Config == config.Text {
		config.Kept = b.textsOr(&config)
	}
	set, _, err := LoadPolicies(&config, config.PolicyFolder())
	if err != nil {
		return nil, err
	}
	return &ProgramRecord{
		Config: &config, set: set, book: s.program, state: s.State, roster: roster, access: s.AccessStream, control: s.ControlStream, names: s.Names,
		call: call, asker: me, beside: s.otherDatabases, now: s.O.Clock(),
	}, nil
}

// RecordPlace is where a record is read that no serve holds open.
type RecordPlace struct {
	Config, Data, KeyFile string
	Getenv                func(string) string
}

// WithRecord opens a record and everything beside it.
func WithRecord(ctx context.Context, f *RecordPlace, do func(*ProgramRecord) error) (err error) {
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
	r := &ProgramRecord{Config: settings, book: program.NewBook(), state: control.NewState(), call: func(who sallyport.Staff) string { return string(who) }, now: time.Now()}
	r.access, err = OpenRecord(f.Data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, f.Data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.access.Close()) }()
	if r.control, err = OpenRecord(f.Data, "control", record.Options{Key: key}, quiet); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.control.Close()) }()
	if r.set, _, err = ReplaySets(settings, r.control, ""); err != nil {
		return err
	}
	if r.names, err = Pseudonyms(settings, f.Data); err != nil {
		return err
	}
	if err := r.control.Read(1, func(e *sallyport.Event) error {
		r.state.Apply(e)
		r.book.Apply(e)
		return ctx.Err()
	}); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	r.roster = settings.Roster
	r.state.Advance(r.now)
	return do(r)
}

// members are everybody who may have to read something or decide.
func (r *ProgramRecord) members() (out []program.Member) {
	for who, p := range r.roster.People {
		if p.Employment != "left" {
			out = append(out, program.Member{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Away: p.Employment == "leave"})
		}
	}
	return out
}

// accesses hands every entry of the access stream, as it stands now, to each of them.
func (r *ProgramRecord) accesses(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.access, take...)
}

// orders hands every entry of the control stream to each of them.
func (r *ProgramRecord) orders(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.control, take...)
}

func readTo(ctx context.Context, s *record.Stream, take ...func(*sallyport.Event)) error {
	last := s.Last()
	err := s.Read(1, func(e *sallyport.Event) error {
		if e.Seq > last {
			return record.ErrEnough
		}
		for _, t := range take {
			t(e)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	return nil
}
