package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sallyport"
	"sallyport/policy"
	"sallyport/query"
	"sallyport/wire/pg"
)

// Replication hands out whole tables, as tokens, and slots that outlive the session. So it is for roles that the
// configuration names. What they send and get is passed on byte for byte (COPY in both directions, 55.4) and recorded by its
// beginning, end and size. One thing is looked at: a connection that replicates a database also takes SQL, and through that
// nothing plain may pass either.

// replicates says whether the start-up parameter asks for replication. The server takes any beginning of the words of a truth
// value (parse_bool); what is none of them it refuses.
func replicates(parameter string) bool {
	p := strings.ToLower(parameter)
	return p != "" && p != "0" && p != "of" && p != "off" && !strings.HasPrefix("false", p) && !strings.HasPrefix("no", p)
}

// admitReplication lets only those in whom the configuration names.
func (s *session) admitReplication(packet *pg.Startup) error {
	if !replicates(packet.Get("replication")) {
		return nil
	}
	s.replicating = true
	p := s.gw.Protection
	if p == nil {
		return nil
	}
	if s.maskedFor() { // of whatever database: a base backup is of all
		return s.refuseStart(fatal(codeUnsupported, "replication is not passed on for this role: it would carry masked columns as they are",
			"The administrator names who sees them under `mask.seen_by` in the configuration."))
	}
	if len(p.Catalog.Snapshot().Columns()) == 0 {
		return nil
	}
	if !slices.Contains(p.Replication, s.who.Login) {
		return s.refuseStart(fatal(codeUnsupported, "replication is not passed on for this role while data are protected",
			"The administrator names roles that replicate under `replication` in the configuration."))
	}
	if s.carriesPlain() { // of whatever database, as above
		return s.refuseStart(refusedWhileMoving())
	}
	s.guarded, s.protected = s.protected, false // whatever the kind: of two parameters the server keeps something of both
	return nil
}

// carriesPlain tells whether plain values of protected columns stand in the database: what is replicated would carry them as they are.
func (s *session) carriesPlain() bool { return s.gw.Protection.Catalog.Snapshot().HoldsPlain() }

func refusedWhileMoving() pg.Notice {
	return fatal(codeUnsupported, "replication is not passed on while columns are moving: it would carry their plain values", "Replicate when protect is done.")
}

// noteReplication puts the beginning on record, durably: a slot may stay for ever.
func (s *session) noteReplication() error {
	if !s.replicating {
		return nil
	}
	if s.mayReplicate() != nil {
		return errEnded
	}
	e := &sallyport.Event{Kind: sallyport.ReplicationStart, Time: s.gw.Clock(), Who: s.who}
	if _, err := s.gw.Access.Append(e); err != nil {
		s.gw.Log.Error("the record cannot be written", "kind", string(e.Kind))
		s.end(fatal(codeJournal, "the record cannot be written, so nothing is replicated", hintJournal))
		return errEnded
	}
	return nil
}

// mayReplicate asks the policies about every table with protected columns: all of them leave. Whom the configuration does not name was not let in.
func (s *session) mayReplicate() error {
	p := s.gw.Protection
	if p == nil || p.Policies == nil {
		return nil
	}
	context := p.Moment(s.person)
	context.Strength, context.Device, context.Named = s.strength, s.who.Device, true
	context.MFAMinutes = s.proof.minutes(s.gw.Clock(), context.MFAMinutes)
	if at, err := netip.ParseAddrPort(s.who.Address); err == nil {
		context.Address = at.Addr()
	}
	asked := map[string]bool{}
	for _, c := range p.Catalog.Snapshot().Columns() {
		table := sallyport.Column{Schema: c.Column.Schema, Table: c.Column.Table}
		if asked[table.String()] {
			continue
		}
		asked[table.String()] = true
		r := p.Policies().Decide(policy.Ask{Who: s.person.Staff, Service: s.person.Service, Action: policy.ActionReplicate, Column: table, Context: context})
		switch {
		case r.Verdict == sallyport.Reveal:
			continue
		case s.observing():
			s.observe("would not have replicated: " + r.Because)
			continue
		case r.Respond == policy.Suspend:
			s.bar(s.ownself(), r.Because)
		}
		why := refusal(codeDenied, "replication: "+r.Because, explained(s.person.Staff, act{policy.ActionReplicate, table})+" --with named=true")
		why.Decision = &sallyport.Decision{Action: policy.ActionReplicate, Columns: []sallyport.Column{table}, Policy: r.Policy()}
		s.noteRefusal(nil, why)
		s.end(fatal(why.Code, why.Sentence, why.Hint))
		return errEnded
	}
	return nil
}

// relayGuarded passes a replicating client's messages on; what is SQL must neither write nor hold anything protected.
func (s *session) relayGuarded() error {
	for {
		kind, size, err := s.client.head()
		if err != nil {
			return err
		}
		s.counters.in.Add(uint64(size)) //nolint:gosec // a length
		if kind == pg.Query {
			_, m, err := s.client.message()
			if err != nil {
				return err
			}
			if err := s.relayCommand(m); err != nil {
				return err
			}
			continue
		}
		for left := size; left > 0; {
			piece, err := s.client.some(left)
			if err != nil {
				return err
			}
			left -= len(piece)
			if _, err := s.serverConn.Write(piece); err != nil {
				return err
			}
		}
		s.client.release()
	}
}

// relayCommand passes on a command of replication, or a statement that only reads.
func (s *session) relayCommand(m []byte) error {
	text, err := pg.ParseQuery(m)
	if err != nil {
		return err
	}
	if s.carriesPlain() {
		s.end(refusedWhileMoving())
		return fmt.Errorf("replicate: %w", errEnded)
	}
	if !replicationCommand(string(text)) && !s.readsOnly(string(text)) {
		s.noteRefusal(s.powerOf(string(text)), refusal(codeUnsupported, "SQL on a replication connection that writes or names protected columns", ""))
		s.end(fatal(codeUnsupported, "on a replication connection statements pass that only read", "Connect without replication for any other."))
		return fmt.Errorf("replicate: %w", errEnded)
	}
	_, err = s.serverConn.Write(m)
	s.client.release()
	return err
}

// readsOnly says whether a text may pass as it is: it writes nothing protected and compares nothing with it.
func (s *session) readsOnly(sql string) bool {
	if strings.IndexByte(sql, '\\') >= 0 { // how it reads hangs on settings that nobody follows here
		return false
	}
	plan, err := s.analyzer().Analyze(sql, true)
	if err != nil {
		return false
	}
	for i := range plan.Statements {
		st := &plan.Statements[i]
		plain := len(st.Edits) == 0 || st.Copy != nil && !st.Copy.In
		if st.Refusal != nil || len(st.Copies) > 0 || len(st.Powers) > 0 || st.Touches && st.Writes || !plain || len(st.Params) > 0 || st.Prepare != nil || st.Execute != nil || st.Capture != nil {
			return false
		}
		for _, e := range st.Edits {
			if e.Slot != nil {
				return false
			}
		}
	}
	return len(plan.Edits) == 0
}

// powerOf is the first statement of a text that takes a power, or nil.
func (s *session) powerOf(sql string) *query.Statement {
	plan, err := s.analyzer().Analyze(sql, true)
	if err != nil {
		return nil
	}
	for i := range plan.Statements {
		if len(plan.Statements[i].Powers) > 0 {
			return &plan.Statements[i]
		}
	}
	return nil
}

// replicationCommand says whether a text begins with a word by which the server knows a command of replication
// (repl_scanner.l): none of them holds SQL.
func replicationCommand(text string) bool {
	text = strings.TrimLeft(text, " \t\n\r\f\v")
	n := 0
	for n < len(text) && (text[n] >= 'A' && text[n] <= 'Z' || text[n] >= 'a' && text[n] <= 'z' || text[n] == '_') {
		n++
	}
	switch strings.ToUpper(text[:n]) {
	case "IDENTIFY_SYSTEM", "READ_REPLICATION_SLOT", "TIMELINE_HISTORY", "CREATE_REPLICATION_SLOT", "DROP_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT",
		"START_REPLICATION", "BASE_BACKUP", "UPLOAD_MANIFEST":
		return true
	}
	return false
}
