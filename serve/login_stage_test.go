package serve

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/internal/fakeidp"
)

// home is a person's machine: what 'sallyport login' keeps, and the browser, which goes to a fake identity provider.
type home struct {
	t      *testing.T
	idp    *fakeidp.Provider
	folder string
}

func newHome(t *testing.T, idp *fakeidp.Provider) *home {
	t.Helper()
	return &home{t: t, idp: idp, folder: t.TempDir()}
}

func startIDP(t *testing.T) *fakeidp.Provider {
	t.Helper()
	idp, err := fakeidp.Start(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	return idp
}

// addressOfPage and codeOfDevice are what a person reads on the terminal.
var (
	addressOfPage = regexp.MustCompile(`(?m)^  (https://\S+)$`)                    //nolint:gochecknoglobals // constant
	codeOfDevice  = regexp.MustCompile(`enter the code ([A-Z0-9]+), which nobody`) //nolint:gochecknoglobals // constant
)

// run runs a command, and goes through the log-in page or the device's where it asks for that.
func (h *home) run(args ...string) (out string, err error) {
	h.t.Helper()
	var stdout, stderr lockedBuffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
		return map[string]string{"HOME": h.folder}[name]
	}}
	ctx, cancel := context.WithTimeout(h.t.Context(), stretched(time.Minute))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, args) }()
	for asked := false; ; {
		select {
		case err := <-done:
			return stdout.String() + stderr.String(), err
		case <-time.After(5 * time.Millisecond): // between two looks at the terminal
		}
		if asked {
			continue
		}
		if page := addressOfPage.FindStringSubmatch(stderr.String()); page != nil {
			asked = true
			if said, err := h.idp.Browse(page[1]); err != nil || !strings.Contains(said, "You are") {
				h.t.Errorf("the browser shows %q, %v", said, err)
			}
		} else if code := codeOfDevice.FindStringSubmatch(stderr.String()); code != nil {
			asked = true
			if err := h.idp.Enter(code[1], true); err != nil {
				h.t.Error(err)
			}
		}
	}
}

// must is run of a command that works.
func (h *home) must(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err != nil {
		h.t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// credential is what was kept.
func (h *home) credential() string {
	h.t.Helper()
	return strings.TrimSpace(h.must("login", "--print"))
}

func user(who string, more ...any) fakeidp.User {
	u := fakeidp.User{Claims: map[string]any{"sub": who}}
	for i := 0; i+1 < len(more); i += 2 {
		u.Claims[more[i].(string)] = more[i+1]
	}
	return u
}

// loginYAML is the section login for a fake provider, whose authority is written beside the configuration.
func loginYAML(t *testing.T, folder string, idp *fakeidp.Provider, more string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "idp.crt"), []byte(idp.CA()), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("login: {issuer: %q, client_id: sallyport, ca: idp.crt%s}\n", idp.Issuer(), more)
}

// doors serves the gatehouse with people, of whom Sallyport asks itself who they are.
func (h *gatehouse) doors(t *testing.T, idp *fakeidp.Provider, enter, more, rest string) *gate {
	t.Helper()
	g := &gate{h: h, t: t, folder: filepath.Dir(shortDir(t)), log: &lockedBuffer{}}
	h.ca.mustIssue(t, "localhost").files(t, g.folder, "own")
	h.ca.mustIssue(t, "shown").files(t, g.folder, "enter")
	h.ca.revoke(t, g.folder, time.Hour)
	for name, content := range map[string]string{"ca.crt": h.ca.PEM, "reader.password": "reader-pw\n", "ada.secret": "ada-pw\n", "root.secret": h.cluster.Password + "\n", "bob.secret": "bob-pw\n", "clear.secret": "clear-pw\n", "mdfive.secret": "mdfive-pw\n", "wrong.secret": "wrong\n"} {
		if err := os.WriteFile(filepath.Join(g.folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "version: 1\nlisten: 127.0.0.1:0\napi: {listen: 127.0.0.1:0}\ntls: {certificate: own.crt, key: own.key}\nupstream:\n  address: " + h.address() + "\n  " + readsVerifiers + "\n  " + fromPostgres +
		"\n  enter:\n" + enter + "people:\n"
	for id, login := range map[string]string{"s1": "ada", "s2": "shown", "s3": h.cluster.Superuser, "s4": "bob", "s5": "clear", "s6": "mdfive", "s7": "strict"} {
		text += fmt.Sprintf("  %s: {team: eu, role: agent, logins: [%s]}\n", id, login)
	}
	hash, err := officerHash("o1")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"o1", "o2"} {
		text += fmt.Sprintf("  %s: {team: security, role: security, password: %q}\n", id, string(hash))
	}
	g.serve(text + loginYAML(t, g.folder, idp, ", passwords: [o1, o2]"+more) + rest)
	await(t, "serve finds the database", g.Ready())
	return g
}

// byCredential connects as a role with a credential.
func (g *gate) byCredential(role, credential string) (*pgx.Conn, error) {
	g.t.Helper()
	return g.dialWith(role, credential, "sslmode=verify-full sslrootcert="+filepath.Join(g.folder, "ca.crt"))
}

// revoke lists certificates as taken back, until the next list is due.
func (a *authority) revoke(t *testing.T, folder string, next time.Duration, numbers ...*big.Int) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(next)}
	for _, n := range numbers {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "own.crl"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// refusal is the error that somebody reads who is not let in.
func refusalOf(t *testing.T, err error) *pgconn.PgError {
	t.Helper()
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatalf("no refusal: %v", err)
	}
	return answer
}

// noted are the events of one kind in the control stream.
func noted(t *testing.T, s *Server, kind sallyport.EventKind) (out []sallyport.Event) {
	t.Helper()
	err := s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == kind {
			out = append(out, *e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holdsNowhere looks for a secret in every file of a folder.
func holdsNowhere(t *testing.T, folder, secret string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // it was renamed meanwhile, and is read by its new name
			return nil
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds a credential", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}
