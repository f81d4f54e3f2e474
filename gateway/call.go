package gateway

import "sallyport/wire/pg"

// largeObjects are the functions that clients call by the protocol's own message (libpq's large objects, JDBC's too), by the
// OIDs that they have in every version (pg_proc.dat). They take and give bytea and numbers, in which a result's columns are
// not looked into either. None of them reads a file.
var largeObjects = map[uint32]string{ //nolint:gochecknoglobals // a constant table
	952: "lo_open", 953: "lo_close", 954: "loread", 955: "lowrite", 956: "lo_lseek", 957: "lo_creat", 958: "lo_tell", 964: "lo_unlink",
	715: "lo_create", 1004: "lo_truncate", 3170: "lo_lseek64", 3171: "lo_tell64", 3172: "lo_truncate64",
}

// takeCall passes on a function call (55.2.4) of a large object's function. What any other function does with its arguments
// cannot be seen here.
func (s *session) takeCall(m []byte) error {
	function, err := pg.ParseFunctionCall(m)
	if err != nil {
		return err
	}
	s.batchID++
	s.counters.statements.Add(1)
	if _, ok := largeObjects[function]; ok || s.observing() {
		s.expectReply(&reply{what: expectCall})
		s.toServer = append(s.toServer, m...)
		return nil
	}
	s.refuseQuery("", nil, refusal(codeUnsupported, "this function is not called by the protocol's own message", "Call the function in a statement."))
	return nil
}

// answerCall passes on what a function returned.
func (s *session) answerCall(m []byte) error {
	r := s.first()
	if r != nil && r.what == expectMoment {
		moment, err := pg.ParseFunctionResult(m)
		s.moment = append(s.moment[:0], moment...)
		return err
	}
	if r == nil || r.what != expectCall {
		return errUnexpected(pg.FunctionCallResult)
	}
	s.out = append(s.out, m...)
	return nil
}
