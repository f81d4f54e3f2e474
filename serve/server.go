// Package serve is the running program: it opens the record, the listeners and the control socket, and ties the packages together that do the work: the
// gateway, detection, responses, cases, canaries, drills, exports, history, the ledger, the console. One file for each tie, named after it; server.go opens
// everything and serverlife.go runs it to its end.
//
// It decides nothing about values: that is the gateway's. Whatever it does on somebody's word is an entry of the record first. What can say what it needs
// without a Server is no file here, but a package (decision 0089).
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
	"sallyport/config"
	"sallyport/control"
	"sallyport/entrance"
	"sallyport/exposure"
	"sallyport/gateway"
	"sallyport/history"
	"sallyport/intake"
	"sallyport/internal/disk"
	"sallyport/internal/upstream"
	"sallyport/keys"
	"sallyport/ledger"
	"sallyport/program"
	"sallyport/program/training"
	"sallyport/purpose"
	"sallyport/record"
	"sallyport/record/room"
)

// Options are what serve and the demonstration start a Server with.
type Options struct {
	Config *config.Config // nil: nothing is protected

	Upstream string // the server behind, as --upstream takes it; empty: the configuration's
	Listen   string // HOST:PORT or unix:PATH; empty: the configuration's
	Data     string // folder of the record and the control socket
	KeyFile  string // age identity that opens the keys; needed when columns are protected, unless the configuration names another provider

	Getenv func(string) string // nil: nothing is set

	Observe        io.Writer             // not nil: nothing is masked, cut or locked; what would have been is printed here
	MovingIn       bool                  // columns that protect has not begun with are plain, and pass as they are
	Role           Role                  // empty: Alone
	OnlyOrders     bool                  // serve nobody: orders are heard, and files can be approved
	AwaitAgreement bool                  // with a record that does not fit the database's mark: wait until two people accept it
	Drain          time.Duration         // for transactions under way when ctx ends; 0: they are cut
	WatchEvery     time.Duration         // between two looks for ways around the gateway; 0: 30 s
	RenewEvery     time.Duration         // between two passes over the tokens of a rotation; 0: 1 s
	Free           func() (int64, error) // bytes that the data folder's disk has left; nil: the system is asked
	disk           disk.Disk             // of the access stream; only tests measure what one costs by another
	Clock          func() time.Time      // stands in every event and moves the budgets' windows; nil: time.Now
	Log            *slog.Logger          // nil: none
	Shares         *keys.Assembly        // that people brought this process before it began anew; nil: none
}

// Server is a running gateway with its record, its people and its control socket.
type Server struct {
	O             Options
	log           *slog.Logger
	AccessStream  *record.Stream
	ControlStream *record.Stream
	key           *record.Key // of both; nil: they are not encrypted
	room          *room.Room  // on their disk
	orders        *api.Orders
	State         *control.State
	book          *exposure.Book

	Upstream     *upstream.Server
	verifiers    *entrance.Verifiers // nil: nobody to read them as
	entrances    *entrance.Entrances // nil: the server checks every log-in
	certificates *entrance.Certificates
	renew        chan struct{} // SIGHUP
	shares       *unsealer     // of the keys; nil: they are not opened by shares
	held         string        // hash of the files that this server runs by; empty: it has none
	Unapproved   bool          // the files on disk are not those that two people approved, which hold
	staffing     *staffing     // who is who
	provider     *scimListener // where the identity provider is heard; nil: nowhere
	granting     *granting
	detection    *detection // nil: nobody looks for insiders
	ledger       *ledger.Ledger
	policies     *livePolicies  // that hold, for the gateway and for orders
	unruly       error          // why they cannot be read
	canaries     *canaries      // customers who do not exist
	drills       *drills        // thefts that are played
	exports      *outputs       // what goes out to other systems
	imports      *intake.Intake // what comes in from them
	reports      *reporting     // what customers tell of scam calls
	casing       *casing
	console      *pageListener // pages for the staff
	customers    *pageListener // and for customers
	scheduled    *assure.Book  // calls to them
	outbox       *outbox       // who asked gets his answer by it; nil: nobody does
	program      *program.Book
	teaching     *teaching
	Names        *history.Names  // pseudonyms of those who have access
	history      *history.Keeper // nil: none is kept

	Hub     *hub     // of a controller; nil: this is none
	link    *link    // of a gateway; likewise
	mirrors *mirrors // what gateways have to erase in their own streams; nil: there are none

	started  time.Time
	listener listener
	socket   net.Listener
	remote   net.Listener // for commands from other machines; nil: none
	ready    chan struct{}

	stop context.CancelFunc
	done chan struct{} // closed when everything has ended
	err  error         // why it ended; to be read after done

	reporting sync.Mutex // held while a report of the programme is made

	mu      sync.Mutex        // guards what follows
	waiting error             // why clients are refused for now
	mark    string            // the mark that nobody accepted yet, see guard.go
	gateway *gateway.Gateway  // the one that serves; nil until then
	reasons *purpose.Resolver // likewise, where something is protected
	guard   *guard            // likewise
	turns   *rotations        // likewise
	opened  *sources          // likewise
	hooks   net.Addr          // where messages of other systems arrive; nil: nowhere
}

// Start opens the record, the listener and the control socket, and returns: the database may still be away. Until Ready
// is closed clients are refused with a sentence that says why. Close ends it; so does ctx.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := newServer(o)
	if err := s.decide(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.settle(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.openLedger(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.openDirectory(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.openDetection(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.openCases(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.openProgram(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	people, err := s.people()
	if err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.configured(); s.link == nil && err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := errors.Join(s.openConsole(ctx, people), s.openCustomers(ctx, people)); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	ctx, s.stop = context.WithCancel(ctx)
	go s.run(ctx, people)
	return s, nil
}

// newServer is one of which nothing is open yet.
func newServer(o Options) *Server {
	s := &Server{O: o, log: o.Log, started: time.Now(), State: control.NewState(), book: exposure.NewBook(), ready: make(chan struct{}), done: make(chan struct{}), renew: make(chan struct{}, 1)}
	if s.O.Clock == nil {
		s.O.Clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.O.Config == nil {
		s.O.Config = &config.Config{}
	}
	s.canaries = newCanaries(s)
	s.drills = newDrills(s)
	s.teaching = &teaching{s: s, book: training.NewBook()}
	return s
}

// decide opens the control stream, folds it, and finds by which files this server is to run.
func (s *Server) decide(ctx context.Context) error {
	if s.O.Data == "" {
		return config.Usagef("no data folder; expected --data FOLDER")
	}
	if err := os.MkdirAll(s.O.Data, 0o700); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	var err error
	if s.key, err = s.recordKey(ctx); err != nil {
		return err
	}
	if s.ControlStream, err = OpenRecord(s.O.Data, "control", record.Options{Now: s.O.Clock, Key: s.key}, s.log); err != nil {
		return err
	}
	if s.O.Role == GatewayOf {
		if s.orders, err = api.FollowOrders(s.ControlStream, s.State, s.give); err != nil {
			return err
		}
		if err := s.join(ctx); err != nil {
			return err
		}
		if err := s.openMirrors(s.link.name); err != nil {
			return err
		}
		return s.adoptHanded()
	}
	if s.orders, err = api.NewOrders(s.ControlStream, s.State); err != nil {
		return err
	}
	return s.adopt()
}

// settle fills in what the options leave to the configuration.
func (s *Server) settle() error {
	o := &s.O
	if o.Listen == "" {
		o.Listen = o.Config.Listen
	}
	switch {
	case o.Upstream == "" && o.Config.Upstream.Address == "":
		return config.Usagef("no server to stand in front of; expected --upstream postgres://HOST:PORT, or upstream.address in the configuration")
	case o.Listen == "" && o.Role != Controller:
		return config.Usagef("nowhere to listen; expected --listen HOST:PORT, or listen in the configuration")
	case o.Config.Protects() && o.KeyFile == "" && o.Config.NeedsKeyFile() && o.Observe == nil:
		return config.Usagef("no key file; expected --key-file FILE, where the key that opens the keys of the data folder is or will be")
	}
	var err error
	if s.Upstream, err = upstreamOf(o.Config, o.Upstream); err != nil {
		return err
	}
	shares, err := newUnsealer(o)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.shares = shares // a controller may bring some already
	s.mu.Unlock()
	s.verifiers = entrance.NewVerifiers(o.Config, s.Upstream)
	s.granting, s.reports = &granting{s: s}, newReporting(s)
	if s.granting.tell, err = newWebhook(o.Config, o.Clock, s.log); err != nil {
		return err
	}
	if s.entrances, err = entrance.New(o.Config, s.Upstream, time.Now); err != nil {
		return err
	}
	s.certificates, err = entrance.LoadCertificates(o.Config, s.Upstream, s.entrances)
	return err
}

// open opens the access stream, and listens.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.link == nil {
		if s.AccessStream, err = OpenRecord(s.O.Data, "access", record.Options{Now: s.O.Clock, Key: s.key, MaxBytes: s.O.Config.Record.MaxBytes, Disk: s.O.disk}, s.log); err != nil {
			return err
		}
		s.imports = intake.New(s.O.Data, s.AccessStream, s.orders, s.O.Clock)
	}
	s.room = room.New(room.Options{
		Data: s.O.Data, Access: s.AccessStream, Control: s.ControlStream, Orders: s.orders, Settings: &s.O.Config.Record, Free: s.O.Free, Clock: s.O.Clock, Log: s.log,
	})
	s.room.Look()
	for _, repaired := range []string{s.AccessStream.Repaired(), s.ControlStream.Repaired()} {
		if repaired != "" {
			s.log.Warn("the record was cut short by a crash and has been repaired", "what", repaired)
		}
	}
	if s.link != nil {
		return s.openListener(ctx)
	}
	if err := s.openHistory(); err != nil { //nolint:contextcheck // the store outlives the start: it is closed with serve
		return err
	}
	if s.socket, err = api.Listen(ctx, filepath.Join(s.O.Data, SocketName)); err != nil {
		return err
	}
	if s.remote, err = s.listenRemote(ctx); err != nil {
		return err
	}
	if err := s.openExports(ctx); err != nil {
		return err
	}
	if err := s.reports.open(ctx); err != nil {
		return err
	}
	if s.O.Role == Controller {
		return s.openHub(ctx)
	}
	return s.openListener(ctx)
}

// openListener listens for clients.
func (s *Server) openListener(ctx context.Context) error {
	var err error
	if s.listener, err = listen(s.O.Config, ctx, s.O.Listen); err != nil {
		return err
	}
	tcp, ok := s.listener.Addr().(*net.TCPAddr)
	if ok && s.O.Config.Protects() && s.O.Config.TLS.Certificate == "" && !tcp.IP.IsLoopback() {
		return config.Usagef("values would leave in clear over the network on %s; expected a loopback address, or tls in the configuration", tcp)
	}
	return nil
}

// configured puts the configuration on record, unless it is the one that took effect last.
func (s *Server) configured() error {
	hash, last := s.O.Config.Hash, ""
	err := s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Configured {
			last = e.Note
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the control stream: %w", err)
	}
	if hash == last {
		return nil
	}
	return s.orders.Give(nil, &sallyport.Event{
		Time: s.O.Clock(), Kind: sallyport.Configured, Note: hash, Order: &sallyport.Order{Action: "configure"},
	})
}

// people makes the api of the control socket.
func (s *Server) people() (*api.Server, error) {
	if s.link != nil { // they give orders at the controller
		logIns, err := s.O.Config.LogIns()
		if err != nil {
			return nil, err
		}
		s.staffing.logIns(logIns)
		s.openPolicies()
		return nil, nil
	}
	config := s.O.Config
	people := map[sallyport.Staff]api.Person{}
	for id, p := range config.People {
		people[sallyport.Staff(id)] = api.Person{Role: p.Role, Password: p.Password, Logins: p.Logins}
	}
	logIns, err := config.LogIns()
	if err != nil {
		return nil, err
	}
	s.staffing.logIns(logIns)
	calls, err := s.calls()
	if err != nil {
		return nil, err
	}
	links, err := s.links()
	if err != nil {
		return nil, err
	}
	passkeys, err := s.passkeys()
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		People: people,
		Known: func(who sallyport.Staff) bool {
			_, ok := config.Services[string(who)]
			_, listed := s.staffing.person(who)
			return ok || listed
		},
		Role:          s.staffing.role,
		Named:         s.staffing.calls,
		Directory:     s.apiDirectory(),
		Files:         s.prepareFiles,
		Access:        s.AccessStream,
		Orders:        s.orders,
		Identifies:    config.Identifies,
		Now:           s.O.Clock,
		Delay:         time.Now,
		Status:        s.status,
		Mark:          s.unacceptedMark,
		Unseal:        s.unsealer(),
		Rotate:        s.mayRotate,
		Destroy:       s.mayDestroy,
		Rotations:     s.rotations,
		Shred:         s.mayShred,
		Erase:         s.mayErase,
		EraseCustomer: s.customerErasure,
		Moving:        s.moving(),
		Observing:     s.O.Observe != nil,
		Locks:         config.LocksPerHour,
		TicketID:      s.ticketID,
		Desk:          s.desk(),
		Rules:         s.rules(),
		LogIns:        logIns,
		Waiting:       s.WaitingFor,
		Traffic:       s.traffic(),
		Forgets:       s.forgets(),
		Canaries:      s.canaries.desk(),
		Drills:        s.drills.desk(),
		Names:         s.Names,
		History:       s.apiHistory(),
		Reports:       s.reports.desk(),
		Blast:         &api.Blast{Radius: s.radius},
		Cases:         s.casing.desk(),
		Classes:       config.Classes(),
		Prove:         s.prove,
		Calls:         calls,
		Program:       &api.Program{Book: s.program, Report: s.programReports, Training: s.teaching.book, Documents: s.O.Config.DocumentTexts},
		Work:          s.work(),
		Holdings:      s.holdings(),
		DataTables:    s.tablesShown(),
		Rulebook:      s.rulebook(),
		Find:          s.findCustomer,
		FindBy:        config.FindBy(),
		Values:        s.values(),
		Passkeys:      passkeys,
		Links:         links,
	})
}
