package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"time"

	"sallyport"
	"sallyport/purpose"
	"sallyport/wire/pg"
)

// startTimeout bounds everything up to the end of the log-in.
const startTimeout = 30 * time.Second

// errRefused says that the client was refused and has been told why.
var errRefused = errors.New("connection refused")

// open takes a connection through start-up and log-in. A nil session without error is a cancel request that was passed on.
func (g *Gateway) open(ctx context.Context, conn net.Conn) (*session, error) {
	_ = conn.SetDeadline(time.Now().Add(startTimeout))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // nobody waits for who does not log in
	f, packet, err := g.startup(ctx, conn)
	if err != nil || packet == nil {
		return nil, err
	}
	s := &session{
		gw: g, id: newID(), front: f, client: f.stream, clientConn: f.conn,
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, described: map[string]*layout{}, written: map[string]written{},
	}
	s.wake.L = &s.mu
	if err := g.admit(s, packet); err != nil {
		return nil, err
	}
	if err := s.logIn(ctx, packet); err != nil {
		g.forget(s)
		if s.serverConn != nil {
			_ = s.serverConn.Close()
		}
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	_ = s.serverConn.SetDeadline(time.Time{})
	return s, nil
}

// admit reads who wants what from the start-up packet and strips Sallyport's own settings off it.
func (g *Gateway) admit(s *session, packet *pg.Startup) error {
	login, database := packet.Get("user"), packet.Get("database")
	if database == "" {
		database = login
	}
	s.who = sallyport.Who{
		Login: login, Session: s.id, Application: packet.Get("application_name"),
		Address: addressOf(s.clientConn), Database: database,
	}
	s.person = purpose.Person{Staff: sallyport.UnknownLogin(login), Logins: []string{login}}
	p := g.Protection
	if p != nil {
		s.person = p.Person(login)
		if s.protected = database == p.Database; s.protected {
			s.admitMasked()
		}
	}
	s.who.Staff, s.who.Team = s.person.Staff, s.person.Team
	if err := s.admitReplication(packet); err != nil {
		return err
	}
	if g.Ready != nil {
		if err := g.Ready(); err != nil {
			g.Log.Debug("client refused for now", "why", err.Error())
			if told, ok := errors.AsType[*Told](err); ok {
				return s.refuseStart(fatal("57P03", told.Sentence, told.Hint))
			}
			// Why is for the log: whoever reads this has not logged in, and it may name roles, addresses and folders.
			return s.refuseStart(fatal("57P03", "the database cannot be served yet", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
		}
	}
	physical := s.replicating && !strings.EqualFold(packet.Get("replication"), "database") // of the whole server, and without SQL
	if p != nil && p.Only && database != p.Database && !physical {
		return s.refuseStart(fatal("3D000", "this database is not served here", "The configuration lets in the protected database only (upstream.others). Other ones are reached directly."))
	}
	if err := s.admitRole(packet); err != nil {
		return err
	}
	if s.protected {
		return s.takePurpose(packet)
	}
	return nil
}

// Told is a reason to refuse clients for now that they may read, though they have not logged in.
type Told struct{ Sentence, Hint string }

// Error is the sentence.
func (t *Told) Error() string { return t.Sentence }

// addressOf is where a client comes from, in PostgreSQL's words for a Unix socket.
func addressOf(conn net.Conn) string {
	if _, unix := conn.RemoteAddr().(*net.UnixAddr); unix {
		return "[local]"
	}
	return conn.RemoteAddr().String()
}

// takePurpose takes the start-up purpose out of the packet, from a parameter of that name and from options: the server
// would otherwise be told a ticket's number.
func (s *session) takePurpose(packet *pg.Startup) error {
	if sets(packet, []string{actorSetting}) {
		return s.refuseStart(notAtStart())
	}
	value := ""
	kept := packet.Params[:0]
	for _, param := range packet.Params {
		switch {
		case strings.EqualFold(param[0], purposeSetting):
			value = param[1]
			continue
		case param[0] == "options":
			rest, v, found := cutOption(param[1])
			if found {
				param[1], value = rest, v
			}
		case strings.HasPrefix(strings.ToLower(param[0]), "sallyport."):
			continue
		}
		kept = append(kept, param)
	}
	packet.Params = kept
	if _, err := sallyport.ParsePurposes(value); err != nil {
		return s.refuseStart(fatal(codePurpose, "the start-up purpose cannot be read: "+unreadable(err), "Write for example options='-c sallyport.purpose=ticket:4711'."))
	}
	s.setting = newSetting(value)
	if value != "" {
		packet.Params = append(packet.Params, [2]string{purposeSetting, s.canonicalText(value)})
	}
	return nil
}

// The settings of Sallyport's own.
const (
	purposeSetting = "sallyport.purpose"
	actorSetting   = "sallyport.actor"
)

// notAtStart refuses to act for somebody for as long as a connection lasts.
func notAtStart() pg.Notice {
	return fatal(codeActor, "sallyport.actor is set for one transaction, and only there", "BEGIN; SET LOCAL sallyport.actor = '…'; in each transaction.")
}

// cutOption takes every "-c sallyport.purpose=…" and "--sallyport.purpose=…" out of the options parameter. Options are
// separated by white space that a backslash protects (pg_split_opts, postinit.c).
func cutOption(options string) (rest, value string, found bool) {
	var kept []string
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		setting := ""
		switch {
		case word == "-c" && i+1 < len(words):
			setting = words[i+1]
		case strings.HasPrefix(word, "-c"):
			setting = word[2:]
		case strings.HasPrefix(word, "--"):
			setting = word[2:]
		}
		name, v, ok := strings.Cut(setting, "=")
		if !ok || !strings.EqualFold(strings.ReplaceAll(name, "-", "_"), purposeSetting) {
			kept = append(kept, word)
			continue
		}
		value, found = v, true
		if word == "-c" {
			i++
		}
	}
	if !found {
		return options, "", false
	}
	for i, word := range kept {
		kept[i] = strings.NewReplacer(`\`, `\\`, ` `, `\ `, "\t", "\\\t", "\n", "\\\n").Replace(word)
	}
	return strings.Join(kept, " "), value, true
}

func splitOptions(s string) []string {
	var words []string
	var word strings.Builder
	in := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			in = true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// refuseStart tells the client why it is not let in.
func (s *session) refuseStart(n pg.Notice) error { return writeFatal(s.clientConn, n) }

func writeFatal(conn net.Conn, n pg.Notice) error {
	_, _ = conn.Write(pg.AppendNotice(nil, pg.ErrorResponse, n))
	return errRefused
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}
