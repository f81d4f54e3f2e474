package serve

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/purpose/source"
)

// listenedAt is where messages about reports arrive.
type listenedAt struct{ listener net.Listener }

// What bounds messages.
const (
	reportWindow   = 5 * time.Minute // how far the signed time may be from ours: what was overheard cannot be sent again later
	mostReportBody = 256 << 10
	leastSecret    = 32
)

// open listens, where the configuration says so.
func (r *reporting) open(ctx context.Context) error {
	c := &r.s.O.Config.Reports
	if c.Listen == "" {
		return nil
	}
	var err error
	if r.secret, err = hookSecretOf(r.s.O.Config, c.SecretFile); err != nil {
		return err
	}
	if file := r.s.O.Config.Training.SecretFile; file != "" {
		if r.s.teaching.secret, err = hookSecretOf(r.s.O.Config, file); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for reports: %w", err)
	}
	if c.Certificate != "" {
		files := [2]string{r.s.O.Config.Path(c.Certificate), r.s.O.Config.Path(c.Key)}
		if _, err := tls.LoadX509KeyPair(files[0], files[1]); err != nil {
			return errors.Join(fmt.Errorf("listen for reports: %w", err), l.Close())
		}
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // a renewed one is taken with the next connection
				pair, err := tls.LoadX509KeyPair(files[0], files[1])
				return &pair, err
			},
		})
	}
	r.where.listener = l
	r.http = &http.Server{
		Handler: r, ErrorLog: slog.NewLogLogger(r.s.log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	return nil
}

// hookSecretOf is the key of the signatures of messages.
func hookSecretOf(c *config.Config, file string) ([]byte, error) {
	secret, err := config.ReadSecretFile(c.Path(file))
	if err == nil && len(secret) < leastSecret {
		err = config.Usagef("the secret in %s has %d characters; expected %d or more: openssl rand -hex 32", file, len(secret), leastSecret)
	}
	return []byte(secret), err
}

// close closes the listener, where serve ends before it runs.
func (r *reporting) close() error {
	if r == nil {
		return nil
	}
	r.tracer.stop()
	if r.where.listener == nil {
		return nil
	}
	if err := r.where.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// reportMessage is what another system sends. docs/trace.md is its page.
type reportMessage struct {
	ID      string       `json:"id"` // of the message: what was taken once is not taken again
	Reports []sentReport `json:"reports"`
}

// sentReport is a report as it is sent: with fields that are not kept. That it is confirmed is nothing that a sender says.
type sentReport struct {
	Time     time.Time       `json:"time"`
	Customer json.RawMessage `json:"customer"` // text or number
	From     string          `json:"from"`     // of a mail hook that knows no customer: the address that the mail is from. It is not kept
	Channel  string          `json:"channel"`
	Quoted   string          `json:"quoted"` // separated by +
	Taker    sallyport.Staff `json:"taken_by"`
}

// ServeHTTP takes one message.
func (r *reporting) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	taken, err := r.hear(w, req)
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_ = json.NewEncoder(w).Encode(map[string]any{"taken": taken}) // a sender that left sends again
		return
	}
	r.mu.Lock()
	r.bad++
	r.mu.Unlock()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		r.s.log.Error("a report could not be kept", "why", err.Error())
		p = &api.Problem{Status: http.StatusServiceUnavailable, Code: "failed", Sentence: "It could not be kept: send it again."}
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // likewise
}

func badReport(status int, format string, args ...any) error {
	return &api.Problem{Status: status, Code: "bad_report", Sentence: fmt.Sprintf(format, args...), Hint: "See docs/trace.md."}
}

func (r *reporting) hear(w http.ResponseWriter, req *http.Request) (int, error) {
	from := map[string]string{"/reports": hookReports, "/reports/mail": mailReports, trainingPath: trainingPath}[req.URL.Path]
	if from == "" || from == trainingPath && r.s.teaching.secret == nil {
		return 0, badReport(http.StatusNotFound, "Reports are sent to /reports, those of a mail hook to /reports/mail.")
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return 0, badReport(http.StatusMethodNotAllowed, "Send it by POST.")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, mostReportBody))
	if err != nil {
		return 0, badReport(http.StatusRequestEntityTooLarge, "The message is longer than 256 KiB, or broke off.")
	}
	if from == trainingPath {
		return r.s.teaching.hear(req.Header, text)
	}
	if err := signedBy(r.secret, "reports.secret_file", r.s.O.Clock(), req.Header, text); err != nil {
		return 0, err
	}
	var m reportMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return 0, badReport(http.StatusBadRequest, "This is no message with id and reports.")
	}
	if m.ID == "" || len(m.ID) > 200 || len(m.Reports) == 0 || len(m.Reports) > mostAtOnce {
		return 0, badReport(http.StatusBadRequest, "A message has an id of at most 200 characters, and 1 to %d reports.", mostAtOnce)
	}
	list := make([]api.Report, len(m.Reports))
	for i := range m.Reports {
		if x := &m.Reports[i]; from == mailReports && x.From != "" && len(x.Customer) == 0 {
			key, err := r.customerBy(req.Context(), x.From)
			if err != nil {
				return 0, err
			}
			x.Customer, _ = json.Marshal(key) // a text
		}
		if list[i], err = m.Reports[i].report(r.s.O.Clock()); err != nil {
			return 0, badReport(http.StatusUnprocessableEntity, "Report %d: %v.", i+1, err)
		}
	}
	taken, _, err := r.arrive(from, m.ID, list)
	return taken, err
}

// signedBy holds a message to its signature and time: the HMAC-SHA-256 of TIME.BODY by the secret of a file of the configuration.
func signedBy(secret []byte, file string, now time.Time, h http.Header, text []byte) error {
	stamp := h.Get(source.TimeHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	given, ok := strings.CutPrefix(h.Get(source.SignatureHeader), "sha256=")
	signature, bad := hex.DecodeString(given)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(text)
	if err != nil || !ok || bad != nil || !hmac.Equal(mac.Sum(nil), signature) {
		return badReport(http.StatusUnauthorized, "The signature is not that of this message: sign TIME.BODY with the secret of %s.", file)
	}
	if away := now.Sub(time.Unix(seconds, 0)).Abs(); away > reportWindow {
		return badReport(http.StatusUnauthorized, "The message was signed more than five minutes ago, or ahead: sign it when it is sent, and set the clocks.")
	}
	return nil
}

// report is what is kept.
func (x *sentReport) report(now time.Time) (api.Report, error) {
	var customer string
	if json.Unmarshal(x.Customer, &customer) != nil {
		customer = string(x.Customer)
		if _, err := strconv.ParseInt(customer, 10, 64); err != nil {
			return api.Report{}, errors.New("the customer is a text or a whole number")
		}
	}
	out := api.Report{Time: x.Time, Channel: strings.ToLower(x.Channel), Taker: x.Taker}
	out.Customer = SubjectOf(customer)
	for word := range strings.SplitSeq(x.Quoted, "+") {
		if word = strings.TrimSpace(word); word != "" {
			out.Quoted = append(out.Quoted, word)
		}
	}
	if why := out.Check(now); why != "" {
		return out, errors.New(why)
	}
	return out, nil
}
