package cli

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport/api"
	"sallyport/config"
	"sallyport/login"
	"sallyport/serve"
)

// loginFlags say how somebody logs in at the identity provider.
type loginFlags struct {
	controlFlags
	device, noBrowser bool
	print, end        bool
	pgpass            string
}

// ways are those of every fresh log-in.
func (f *loginFlags) ways(flags *pflag.FlagSet) {
	flags.BoolVar(&f.device, "device", false, "by a code that is entered in the browser of another device")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "open no browser; print the address only")
}

func (m *Main) loginCommand() *cobra.Command {
	f := &loginFlags{controlFlags: controlFlags{m: m}}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in at the company's identity provider, for the database and for commands",
		Long: `Opens the company's log-in page in a browser, or with --device prints a code for a browser elsewhere, and keeps a credential for a
few hours in a file that only you may read. psql, DBeaver, pgx and JDBC take it as the password of your role, over TLS; the other commands
use it by themselves. --print prints it alone, and logs in only where the kept one has ended; --pgpass prints lines for ~/.pgpass; --end
gives it back.`,
		Example: `  sallyport login --server https://db.example.com:6440
  PGPASSWORD=$(sallyport login --print) psql "host=db.example.com port=6432 user=s017 dbname=support sslmode=verify-full sslrootcert=system"
  sallyport login --device --pgpass db.example.com:6432 >> ~/.pgpass
  sallyport login --end`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return m.login(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` of the running serve, on this machine")
	flags.StringVar(&f.socket, "control", "", "control `SOCKET` of the running serve (default FOLDER/"+serve.SocketName+")")
	f.remoteFlags(flags)
	f.ways(flags)
	flags.BoolVar(&f.print, "print", false, "print the credential alone; log in only where the kept one has ended")
	flags.StringVar(&f.pgpass, "pgpass", "", "print a line for ~/.pgpass for the gateway at `HOST:PORT`")
	flags.BoolVar(&f.end, "end", false, "give the credential back: it lets nobody in any more, and the sessions that it opened end")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.flags = flags
	return cmd
}

func (m *Main) login(ctx context.Context, f *loginFlags) error {
	if f.pgpass != "" {
		if _, _, err := net.SplitHostPort(f.pgpass); err != nil {
			return config.Usagef("--pgpass %s is no HOST:PORT; expected the gateway's, such as db.example.com:6432", f.pgpass)
		}
	}
	if f.end {
		return m.endLogin(ctx, f)
	}
	kept, err := login.Load(m.Getenv)
	holds := err == nil && kept != nil && time.Now().Before(kept.Until) && (f.server == "" || kept.Server == strings.TrimSuffix(f.server, "/"))
	if f.print && holds {
		return m.showLogin(f, kept, "")
	}
	client, err := f.stranger()
	if err != nil {
		return err
	}
	defer client.Close()
	in, err := m.logInAfresh(ctx, client, f, false)
	if err != nil {
		return err
	}
	s := &login.Saved{Staff: in.Staff, Credential: in.Credential, Until: in.Until, Logins: in.Logins, Server: f.server, CA: f.ca}
	if s.Server == "" {
		if s.Socket, err = filepath.Abs(f.socket); err != nil {
			return fmt.Errorf("keep the log-in: %w", err)
		}
	}
	path, err := s.Keep(m.Getenv)
	if errors.Is(err, login.ErrNowhere) {
		return &config.UsageError{Err: err}
	}
	if err != nil {
		return err
	}
	return m.showLogin(f, s, path)
}

// showLogin prints what was asked for.
func (m *Main) showLogin(f *loginFlags, s *login.Saved, path string) error {
	switch {
	case f.print:
		return printLine(m.Stdout, "%s", s.Credential)
	case f.pgpass != "":
		host, port, err := net.SplitHostPort(f.pgpass)
		if err != nil {
			return config.Usagef("--pgpass %s is no HOST:PORT", f.pgpass)
		}
		for _, login := range s.Logins {
			if err := printLine(m.Stdout, "%s:%s:*:%s:%s", pgpassField(host), port, pgpassField(login), s.Credential); err != nil {
				return err
			}
		}
		return nil
	case f.json:
		return printJSON(m.Stdout, map[string]any{"staff": s.Staff, "until": s.Until, "logins": s.Logins, "file": path})
	}
	roles := ""
	if len(s.Logins) > 0 {
		roles = ", at the database as " + strings.Join(s.Logins, " or ")
	}
	return printLine(m.Stdout, "You are logged in as %s until %s%s.\nThe password there: sallyport login --print", s.Staff, s.Until.Local().Format(time.DateTime), roles)
}

// pgpassField escapes what stands between colons (libpq, "The Password File").
func pgpassField(text string) string { return strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(text) }

// endLogin gives the kept credential back.
func (m *Main) endLogin(ctx context.Context, f *loginFlags) error {
	client, err := f.bySaved()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.EndLogIn(ctx); err != nil {
		return err
	}
	path, err := login.SavedPath(m.Getenv)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("forget the log-in: %w", err)
	}
	if f.json {
		return printJSON(m.Stdout, map[string]any{"staff": f.as, "ended": true})
	}
	return printLine(m.Stdout, "The credential of %s lets nobody in any more. Sessions that are open go on to their end.", f.as)
}

// logInAfresh takes a person through a log-in at the identity provider. For a confirmation it is to be a fresh one.
func (m *Main) logInAfresh(ctx context.Context, client *api.Client, f *loginFlags, confirm bool) (api.LoggedIn, error) {
	if f.device {
		return m.byDevice(ctx, client, confirm)
	}
	return m.byBrowser(ctx, client, f, confirm)
}

func (m *Main) byDevice(ctx context.Context, client *api.Client, confirm bool) (api.LoggedIn, error) {
	d, err := client.BeginDevice(ctx, confirm)
	if err != nil {
		return api.LoggedIn{}, err
	}
	fmt.Fprintf(m.Stderr, "Open %s in any browser and enter the code %s, which nobody else has sent you.\n", serve.Printable(d.Address), serve.Printable(d.Code))
	if d.Complete != "" {
		fmt.Fprintf(m.Stderr, "With the code in it: %s\n", serve.Printable(d.Complete))
	}
	return client.Finish(ctx, d.ID, "", "")
}

// came is what a browser brought back, and where the page waits for what became of it.
type came struct {
	code   string
	answer chan string
}

// byBrowser waits on this machine for the browser to come back (RFC 8252, 7.3).
func (m *Main) byBrowser(ctx context.Context, client *api.Client, f *loginFlags, confirm bool) (in api.LoggedIn, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return in, fmt.Errorf("wait for the browser: %w", err)
	}
	defer func() { _ = l.Close() }()
	b, err := client.BeginBrowser(ctx, "http://"+l.Addr().String()+"/callback", confirm)
	if err != nil {
		return in, err
	}
	back := make(chan came)
	server := &http.Server{Handler: callback(ctx, b.State, back), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		_ = server.Serve(l) // the log-in's own error is told, not that the page is closed
		close(done)
	}()
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(grace) // the page may be half sent; that harms nobody
		<-done
	}()
	fmt.Fprintf(m.Stderr, "Log in in your browser:\n  %s\n", serve.Printable(b.URL))
	if !f.noBrowser {
		if err := openBrowser(ctx, b.URL); err != nil {
			fmt.Fprintln(m.Stderr, "No browser could be opened: open the address yourself.")
		}
	}
	select {
	case c := <-back:
		if c.code == "" {
			c.answer <- "You are not logged in. You may close this window."
			return in, errors.New("log in: the identity provider did not let you in, or you declined")
		}
		in, err = client.Finish(ctx, b.ID, b.State, c.code)
		if err != nil {
			c.answer <- "You are not logged in; the terminal says why. You may close this window."
			return in, err
		}
		c.answer <- "You are logged in. You may close this window."
		return in, nil
	case <-ctx.Done():
		return in, ctx.Err()
	}
}

// callback is the page that the browser comes back to. It takes the answer to this attempt alone, once.
func callback(ctx context.Context, state string, back chan<- came) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Connection", "close")
		q := r.URL.Query()
		if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "This is not the log-in that is waited for.\n")
			return
		}
		c := came{code: q.Get("code"), answer: make(chan string, 1)}
		select {
		case back <- c:
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		}
		select {
		case text := <-c.answer:
			_, _ = io.WriteString(w, text+"\n")
		case <-ctx.Done():
		}
	})
	return mux
}

// openBrowser opens an address in the browser of the desktop.
func openBrowser(ctx context.Context, address string) error {
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://127.0.0.1") {
		return errors.New("no address of a page")
	}
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	}
	return exec.CommandContext(ctx, name, address).Start() // #nosec G204 -- an address, not a command line
}
