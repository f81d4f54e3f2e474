package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/history"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/record"
	"sallyport/staff"
)

// programFlags are what reports need that are made from files and a record, or asked of a running serve.
type programFlags struct {
	config, data, keyFile string
	days                  int
	json                  bool
	control               controlFlags
}

func (f *programFlags) add(m *Main, flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "config", "sallyport.yaml", "configuration `FILE`: people, columns, policies")
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` in which no serve runs, or a copy of one; with --as that of the running serve")
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with the key that opens the keys, where the record is encrypted")
	flags.IntVar(&f.days, "days", 90, "how many `DAYS` back")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.control.m = m
	f.control.logInFlags(flags)
}

// live tells whether a running serve is asked: somebody logs in to it, or says where it is.
func (f *programFlags) live() bool {
	return f.control.as != "" || f.control.server != "" || f.control.socket != ""
}

// howReports is what every report's help says of where it comes from.
const howReports = `
Reads the data folder while no serve runs in it, or a copy. With --as (or --server, --control) it is asked of the running serve, by whoever may investigate: people then
stand in it by pseudonym, and that you asked is itself recorded.`

// programReport makes a report, here or there, and shows it.
func (m *Main) programReport(cmd *cobra.Command, f *programFlags, q *api.ReportQuestion, show func(found json.RawMessage) error) error {
	if f.days <= 0 {
		return usagef("%d days; expected --days 90, or another number above 0", f.days)
	}
	q.Days = f.days
	if f.live() {
		f.control.data = f.data
		client, err := f.control.client()
		if err != nil {
			return err
		}
		defer client.Close()
		answer, err := client.ProgramReport(cmd.Context(), q)
		if err != nil {
			return err
		}
		return show(answer.Found)
	}
	return withRecord(cmd.Context(), m.recordPlace(f), func(r *programRecord) error {
		found, err := r.report(cmd.Context(), q)
		if err != nil {
			return err
		}
		text, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return show(text)
	})
}

// readReport reads what a report found.
func readReport[T any](found json.RawMessage) (x T, err error) {
	if err := json.Unmarshal(found, &x); err != nil {
		return x, fmt.Errorf("read the report: %w; is the serve of the same release?", err)
	}
	return x, nil
}

// programRecord is a record that is read, with the configuration that it belongs to.
type programRecord struct {
	config          *Config
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

// report makes one of them.
func (r *programRecord) report(ctx context.Context, q *api.ReportQuestion) (any, error) {
	if len(q.Documents) == 0 && (q.Report == "drift" || q.Report == "board") {
		of := *q
		var err error
		if of.Documents, err = r.config.documentTexts(); err != nil {
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
		return r.separation(ctx, q.Days)
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
	found, err := r.report(ctx, q)
	if wrong := (*usageError)(nil); errors.As(err, &wrong) {
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
func (s *Server) programRecord(me sallyport.Staff, call func(sallyport.Staff) string) (*programRecord, error) {
	roster, config := s.staffing.now(), *s.o.Config
	config.roster = roster
	approved, _ := s.state.Files()
	if b, err := keptBundle(s.o.Data, approved); err == nil && b.config == config.text {
		config.kept = b.textsOr(&config)
	}
	set, _, err := config.loadPolicies(config.policyFolder())
	if err != nil {
		return nil, err
	}
	return &programRecord{
		config: &config, set: set, book: s.program, state: s.state, roster: roster, access: s.access, control: s.control, names: s.names,
		call: call, asker: me, beside: s.otherDatabases, now: s.o.Clock(),
	}, nil
}

func (m *Main) recordPlace(f *programFlags) *recordPlace {
	return &recordPlace{config: f.config, data: f.data, keyFile: f.keyFile, getenv: m.Getenv}
}

// recordPlace is where a record is read that no serve holds open.
type recordPlace struct {
	config, data, keyFile string
	getenv                func(string) string
}

// withRecord opens a record and everything beside it.
func withRecord(ctx context.Context, f *recordPlace, do func(*programRecord) error) (err error) {
	config, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.data); err != nil {
		return usagef("read the record: %w; expected --data FOLDER", err)
	}
	key, err := config.recordKey(ctx, keyring{data: f.data, keyFile: f.keyFile, getenv: f.getenv}, false)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	r := &programRecord{config: config, book: program.NewBook(), state: control.NewState(), call: func(who sallyport.Staff) string { return string(who) }, now: time.Now()}
	r.access, err = openRecord(f.data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, f.data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.access.Close()) }()
	if r.control, err = openRecord(f.data, "control", record.Options{Key: key}, quiet); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.control.Close()) }()
	if r.set, _, err = config.replaySets(r.control, ""); err != nil {
		return err
	}
	if r.names, err = config.pseudonyms(f.data); err != nil {
		return err
	}
	if err := r.control.Read(1, func(e *sallyport.Event) error {
		r.state.Apply(e)
		r.book.Apply(e)
		return ctx.Err()
	}); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	r.roster = config.roster
	r.state.Advance(r.now)
	return do(r)
}

// members are everybody who may have to read something or decide.
func (r *programRecord) members() (out []program.Member) {
	for who, p := range r.roster.People {
		if p.Employment != "left" {
			out = append(out, program.Member{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Away: p.Employment == "leave"})
		}
	}
	return out
}

// accesses hands every entry of the access stream, as it stands now, to each of them.
func (r *programRecord) accesses(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.access, take...)
}

// orders hands every entry of the control stream to each of them.
func (r *programRecord) orders(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.control, take...)
}

func readTo(ctx context.Context, s *record.Stream, take ...func(*sallyport.Event)) error {
	last := s.Last()
	err := s.Read(1, func(e *sallyport.Event) error {
		if e.Seq > last {
			return errEnough
		}
		for _, t := range take {
			t(e)
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read the record: %w", err)
	}
	return nil
}
