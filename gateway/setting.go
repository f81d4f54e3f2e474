package gateway

import (
	"slices"

	"sallyport/query"
)

// setting follows sallyport.purpose of one session exactly as PostgreSQL would keep it: session and local values,
// savepoints, roll-backs. It moves only on what the server confirmed with a command tag, an error or its transaction
// status, so a purpose that was rolled back is gone here too. (PostgreSQL: no ParameterStatus tells of custom settings, and
// what functions set cannot be seen; so only what the gateway parsed itself gets here.)
type setting struct {
	startup string    // from the start-up packet: what RESET returns to
	base    string    // session value when the present transaction began
	now     level     // present values
	saves   []savedAt // savepoints, oldest first
	failed  bool      // an error came since the transaction began

	spoken *acting // for whom the transaction is; nil: nobody has said. It moves when that is said, and ends with the transaction
	block  bool    // BEGIN was said
}

// level is a session value with the local one above it.
type level struct {
	session  string
	local    string
	hasLocal bool
}

type savedAt struct {
	name string
	level
}

func newSetting(startup string) setting {
	return setting{startup: startup, base: startup, now: level{session: startup}}
}

// value is what holds for the next statement.
func (s *setting) value() string {
	if s.now.hasLocal {
		return s.now.local
	}
	return s.now.session
}

// stance is what the next statement finds.
func (s *setting) stance() stance {
	now := stance{purpose: s.value(), spoken: s.spoken, block: s.block}
	if s.now.hasLocal {
		now.local = s.now.local
	}
	return now
}

// clone is for running ahead within one string of statements.
func (s *setting) clone() setting {
	c := *s
	c.saves = append([]savedAt(nil), s.saves...)
	return c
}

// change applies a confirmed SET, SET LOCAL, RESET or DISCARD ALL.
func (s *setting) change(c *query.PurposeChange) {
	switch {
	case c.Reset || c.All:
		s.now = level{session: s.startup}
	case c.Local:
		s.now.local, s.now.hasLocal = c.Value, true
	default:
		s.now = level{session: c.Value}
	}
}

// transaction applies confirmed transaction control. tag is the server's word: COMMIT of a failed transaction answers ROLLBACK.
func (s *setting) transaction(t *query.TxChange, tag string) {
	switch t.Kind {
	case query.Begin:
		s.block = true
	case query.CommitPrepared, query.RollbackPrepared: // they end a transaction that is not this one
	case query.Commit, query.PrepareTransaction:
		if tag == "ROLLBACK" {
			s.rollback()
		} else {
			s.commit()
		}
		s.block = t.Chain
	case query.Rollback:
		s.rollback()
		s.block = t.Chain
	case query.Savepoint:
		s.saves = append(s.saves, savedAt{t.Name, s.now})
	case query.Release:
		if i := s.find(t.Name); i >= 0 {
			s.saves = s.saves[:i]
		}
	case query.RollbackTo:
		if i := s.find(t.Name); i >= 0 {
			s.now = s.saves[i].level
			s.saves = s.saves[:i+1]
			s.failed = false
		}
	}
}

// ready applies the status of ReadyForQuery: 'I' ends whatever transaction there was, an implicit one too.
func (s *setting) ready(status byte) {
	if status != 'I' {
		s.block = true
		return
	}
	if s.failed {
		s.rollback()
	} else {
		s.commit()
	}
}

// fail notes an ErrorResponse.
func (s *setting) fail() { s.failed = true }

func (s *setting) commit() {
	s.base, s.now = s.now.session, level{session: s.now.session}
	s.end()
}

func (s *setting) rollback() {
	s.now = level{session: s.base}
	s.end()
}

// ends tells whether the session's transaction ends.
func ends(t *query.TxChange) bool {
	switch t.Kind {
	case query.Commit, query.Rollback, query.PrepareTransaction:
		return true
	case query.Begin, query.Savepoint, query.Release, query.RollbackTo, query.CommitPrepared, query.RollbackPrepared:
	}
	return false
}

// end ends what holds for one transaction only.
func (s *setting) end() {
	s.saves, s.failed, s.spoken, s.block = s.saves[:0], false, nil, false
}

// find is the newest savepoint of that name, or -1.
func (s *setting) find(name string) int {
	for i, save := range slices.Backward(s.saves) {
		if save.name == name {
			return i
		}
	}
	return -1
}
