package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/wire/pg"
)

// session is one client's connection and its connection to the server.
//
// Two goroutines share it. One reads the client: it analyses, tokenises, records the statement and forwards it, and notes
// in queue which replies are due (client.go, simple.go, prepared.go, portal.go). The other reads the server: it takes each reply for
// what is first in queue, reveals, counts, records and writes to the client (server.go, rows.go, batch.go). Only the second one, or a batch
// that it gave away and joins before it writes or records again (behind.go), writes to the client, so everything that a client reads stands
// in one order.
type session struct {
	gw        *Gateway
	id        string
	who       sallyport.Who
	person    purpose.Person
	strength  policy.Strength // of the log-in
	self      *acting         // all three, once the log-in is over
	proof     proof           // how he proved to Sallyport itself who he is
	protected bool            // it is in the protected database: statements are analysed

	masked      bool // columns are masked for this person
	replicating bool // by the start-up packet
	guarded     bool // it replicates the protected database: it is relayed, but SQL that writes is not

	front                  *front
	client, server         *stream
	clientConn, serverConn net.Conn
	way                    way    // how the server was reached
	negotiated             bool   // the server has said which version of the protocol it speaks
	asked                  bool   // the server has asked for a password or the like
	entering               bool   // the gateway logs in to the server in its own name
	unattended             bool   // nobody waits at a door, and there is no server: see asked.go
	pid                    uint32 // to cancel what the server does for this session
	cancelKey              []byte

	mu        sync.Mutex // guards the fields of this group
	wake      sync.Cond
	queue     []*reply
	room      []*reply // behind queue, when it is empty
	setting   setting
	ending    *pg.Notice // over says whether it is set
	closed    bool       // one of the two goroutines has ended
	copyIn    bool       // the server reads COPY data
	copyRun   *run       // of the statement that asked for them
	skipping  bool       // the server skips everything up to Sync
	unread    bool       // standard_conforming_strings is off
	foreign   bool       // client_encoding is neither UTF8 nor SQL_ASCII
	style     dateStyle
	written   map[string]written   // tokens of values that somebody wrote under a purpose
	cursors   map[string]struct{}  // names of those that may hold something of masked columns
	standings map[string]standing  // what names of portals mean, where values are veiled; the server's side only
	prepared  map[string]*prepared // by name; SQL's PREPARE and the protocol's Parse share the names

	// The client's side only.
	toServer []byte
	portals  map[string]*portal
	copyFrom *reply          // the statement whose COPY data the client sends, or nil
	loading  *loading        // where the data are for protected columns
	open     bool            // something was parsed, bound or executed since the last Sync
	unsynced bool            // a statement was executed since the last Sync
	batchID  uint64          // counts Syncs and simple queries: what was parsed but not confirmed may be bound within the same batch only
	by       *query.Analyzer // that the last text was analysed by
	doubt    *doubt          // what is asked in front of the statements in toServer, or nil
	begins   bool            // nothing was open when the present message came

	// The server's side only.
	batch
	behind    behind
	gathering gathering
	held      func() error // says whether what waited for the client may still leave; nil: nothing is protected
	accounts  accounts
	borrowing borrowing          // of both sides
	head      *reply             // the first of queue, once it was asked for
	described map[string]*layout // portals' results
	before    lastLayout
	copyOut   *copyOut // the COPY TO STDOUT whose rows come, or nil
	advised   bool     // that something is masked because it is moving
	unseen    bool     // that something shows nothing because its keys are rotated
	torn      bool     // a message was cut in the middle: what would come behind it would be read as part of it
	facts     facts
	tally     tally
	moment    []byte // what the server told of its moment

	spentGrant string         // the grant whose budget or time the last row would have exceeded; empty: another limit
	asking     sync.WaitGroup // questions about the catalogue that the session's end does not wait for

	over       atomic.Bool
	cancelled  atomic.Bool   // the client asked to cancel what is under way
	reads      atomic.Uint64 // reading statements whose entries were enqueued
	statements atomic.Uint64 // ids of statements
	counters   counters
	traffic    traffic
	watch      watch                  // of a session that is relayed
	granting   atomic.Pointer[string] // the grant under which values stand in what is not sent yet, or in a result under way
	showing    bool                   // that result is under way
	idle       atomic.Bool            // the last ReadyForQuery came outside a transaction
	storing    atomic.Bool            // its transaction wrote tokens into a column whose keys are rotated, see crossing
	resting    atomic.Bool            // the client's side waits for a message, and nothing stands open
	looking    atomic.Bool            // the client's side works at messages that the server does not have yet
	underway   atomic.Bool            // the server has something of what is in queue
	cancelling atomic.Int32           // requests to cancel that wait for looking to end
	requests   atomic.Int32           // of them those that are on their way to the server
	draining   atomic.Bool            // the session ends with its transaction
	lapsed     atomic.Bool            // because what its person logged in with has ended
	winding    atomic.Bool            // a writing statement runs to its end; then the session ends
}

// counters are sums for the record, of what touches nothing protected too.
type counters struct{ statements, rows, in, out atomic.Uint64 }

// run moves bytes until one side ends, and leaves a record of the session.
func (s *session) run(ctx context.Context) {
	s.who.Device, s.who.Country = s.device(), s.country()
	s.self = s.ownself()
	s.note(sallyport.Event{Kind: sallyport.SessionStart, Note: s.proof.note(s.strength)})
	defer s.lapse(ctx)()
	if s.protected {
		s.openAccounts()
	}
	_ = s.noteReplication() // what ends the session stands in it
	stop := context.AfterFunc(ctx, func() { s.end(shutdown()) })
	defer stop()

	var wg sync.WaitGroup
	wg.Go(func() {
		defer s.guard()
		err := s.fromClient(ctx)
		s.clientDone(err)
	})
	func() {
		defer s.guard()
		err := s.fromServer(ctx)
		s.serverDone(ctx, err)
	}()
	_ = s.clientConn.Close()
	_ = s.serverConn.Close()
	s.close()
	wg.Wait()
	s.gw.forget(s)
	s.asking.Wait()
	_ = s.join() // the connections are closed by now
	s.behind.release(&s.gw.pool)
	s.countCut()
	s.settleUnsent()
	s.batch.free(&s.gw.pool)
	s.client.release()
	s.server.release()
	sums := &sallyport.Counters{
		Statements: s.counters.statements.Load(), Rows: s.counters.rows.Load(), BytesIn: s.counters.in.Load(), BytesOut: s.counters.out.Load(),
	}
	s.putTraffic()
	if s.replicating {
		s.note(sallyport.Event{Kind: sallyport.ReplicationEnd, Counters: sums})
	}
	s.note(sallyport.Event{Kind: sallyport.SessionEnd, Counters: sums})
}

// guard ends the session on a fault in one of its goroutines.
func (s *session) guard() {
	if fault := recover(); fault != nil {
		s.gw.Log.Error("session ended by an internal fault", "place", faultPlace())
		s.end(fatal("XX000", "an internal fault ended this session", "Others are not concerned. The administrator sees the place in Sallyport's log."))
		_ = s.clientConn.Close()
		_ = s.serverConn.Close()
	}
}

// note appends an event that need not be durable before anything else happens.
func (s *session) note(e sallyport.Event) {
	e.Time = s.gw.Clock()
	if e.Who.Staff == "" {
		e.Who = s.who
	}
	_, _ = s.gw.Access.Enqueue(&e) // the stream counts what it refuses, and tells of it (record.Options.Trouble)
}

// end makes the session stop soon: the server's side tells the client why and closes. The first reason stands.
func (s *session) end(why pg.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending != nil || s.winding.Load() && why.Get(pg.SQLState) == codeLocked {
		return
	}
	s.ending = &why
	s.over.Store(true)
	s.interrupt()
}

// interrupt wakes whoever waits. A client that does not read gets half a second.
func (s *session) interrupt() {
	now := time.Now()
	if s.serverConn != nil {
		_ = s.serverConn.SetReadDeadline(now)
	}
	_ = s.clientConn.SetReadDeadline(now)
	_ = s.clientConn.SetWriteDeadline(now.Add(500 * time.Millisecond))
	s.wake.Broadcast()
}

func (s *session) ended() *pg.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// clientDone ends the client's side. A client that went away does not undo what it asked for: the server reads the end of
// the stream and decides, as it would without us.
func (s *session) clientDone(err error) {
	if errors.Is(err, pg.ErrMalformed) {
		s.end(fatal(codeProtocol, plainReason(err), "The client speaks something that is not PostgreSQL's protocol."))
	}
	s.close()
	type halfCloser interface{ CloseWrite() error }
	if hc, ok := s.serverConn.(halfCloser); ok {
		_ = hc.CloseWrite()
	}
}

// close wakes whoever waits for replies that will not come.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake.Broadcast()
}

// serverDone tells the client why the session ends and stops what the server still does for it. (PostgreSQL: closing alone
// does not undo; cancel and then close does.)
func (s *session) serverDone(ctx context.Context, err error) {
	if errors.Is(err, pg.ErrMalformed) {
		s.gw.Log.Error("the server sent something unexpected", "reason", plainReason(err))
		s.end(fatal(codeProtocol, "the server sent something that Sallyport does not understand", ""))
	}
	why := s.ended()
	if why == nil {
		return // the server closed; what it said was passed on
	}
	synced := s.syncReads() // it may find that the batch before was cut
	if !s.torn {
		if synced != nil {
			s.clean = 0
		}
		_ = s.clientConn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		s.out = pg.AppendNotice(s.out[:s.clean], pg.ErrorResponse, *why)
		_, _ = s.clientConn.Write(s.out)
	}
	if s.busy() {
		if err := s.gw.cancel(context.WithoutCancel(ctx), s.pid, s.cancelKey, s.serverTLS() != nil); err != nil {
			s.gw.Log.Warn("cancel the server's statement", "reason", plainReason(err))
		}
	}
}

// busy says whether the server owes replies.
func (s *session) busy() bool {
	return s.owed() || !s.protected
}
