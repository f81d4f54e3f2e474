// Package throwaway starts a private PostgreSQL for tests and for the demonstration: a fresh cluster in a folder of its own
// under the temporary folder, SCRAM on a loopback port below the ephemeral range, and a socket inside the folder.
//
// It refuses to touch any server or folder that it did not make, and it keeps nothing between runs.
// Its invariant: when the process that called Start is gone, for whatever reason (Stop, exit, panic, Ctrl-C, SIGKILL), its
// server and its folder go too; if even the guard was killed, the next Start of the same user removes what is left.
package throwaway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// startTimeout bounds how long a server may take until it accepts connections.
const startTimeout = 60 * time.Second

// quitTimeout bounds how long a server may take to end at once.
const quitTimeout = 10 * time.Second

// portAttempts is how many ports are tried when somebody takes the chosen one between our look and the server's bind.
const portAttempts = 8

// Options change what Start makes. The zero value is a durable cluster that prints nothing.
type Options struct {
	Settings map[string]string // lines of postgresql.conf, over the defaults
	Files    map[string]string // put into the data folder, over what initdb made there: pg_hba.conf, certificates
	Out      io.Writer         // receives the server's log; nil keeps it in the folder only
}

// Cluster is a running private PostgreSQL.
type Cluster struct {
	Host      string // 127.0.0.1
	Port      int
	SocketDir string
	Dir       string // the folder that Stop removes
	Superuser string
	Password  string
	Major     int // the server's version, as 15

	owner  *os.File  // holds the lock that tells the next Start that this cluster is in use
	guard  *guard    // removes everything when it hears that we are gone
	server *exec.Cmd // the postmaster
	exited chan struct{}
	stop   sync.Once
	err    error // of stop
}

// Start makes a cluster and returns once it accepts connections. Who calls it calls Stop; nothing breaks if he cannot.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := FindBin()
	if err != nil {
		return nil, err
	}
	run, err := unprivileged()
	if err != nil {
		return nil, err
	}
	base := baseDir(run)
	sweep(base, run)

	c := &Cluster{Host: "127.0.0.1", Superuser: "postgres", Password: rand.Text()}
	if err := c.makeDir(base, run); err != nil {
		return nil, err
	}
	if err := c.create(ctx, bin, run); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.WriteFiles(o.Files); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.launch(ctx, bin, run, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Main runs a test package's tests with one cluster: func TestMain(m *testing.M) { os.Exit(throwaway.Main(m, throwaway.Options{}, …)) }.
// It hands the cluster to use before the tests run and stops it after them.
func Main(m interface{ Run() int }, o Options, use func(*Cluster)) (code int) {
	c, err := Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := c.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	use(c)
	return m.Run()
}

// DSN is a connection string over TCP. An empty user and password leave them out.
func (c *Cluster) DSN(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		Host:     net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// SuperDSN is a connection string of the superuser over TCP.
func (c *Cluster) SuperDSN(database string) string { return c.DSN(c.Superuser, c.Password, database) }

// Stop ends the server at once and removes the folder. It may be called more than once.
func (c *Cluster) Stop() error {
	c.stop.Do(func() {
		if c.err = c.guard.release(); c.err != nil { // somebody killed the guard, so nobody has stopped the server
			c.err = c.quit()
		}
		if c.server != nil && c.err == nil {
			<-c.exited
		}
		if err := os.RemoveAll(c.Dir); err != nil && c.err == nil {
			c.err = fmt.Errorf("remove private PostgreSQL: %w", err)
		}
		c.owner.Close()
	})
	return c.err
}

// Folder makes a folder within the cluster's, for a program that runs beside the server as its user.
func (c *Cluster) Folder(name string) (string, error) {
	run, err := unprivileged()
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("make folder beside private PostgreSQL: %w", err)
	}
	return path, run.own(path)
}

// RunAs makes a command run as the server's user.
func (c *Cluster) RunAs(cmd *exec.Cmd) error {
	run, err := unprivileged()
	if err != nil {
		return err
	}
	cmd.SysProcAttr = run.attributes()
	return nil
}

// quit stops the server without the guard. The server is our child, so its number cannot have become another process's.
func (c *Cluster) quit() error {
	if c.server == nil {
		return nil
	}
	for _, sig := range []os.Signal{syscall.SIGQUIT, os.Kill} {
		if err := c.server.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop private PostgreSQL: %w", err)
		}
		select {
		case <-c.exited:
			return nil
		case <-time.After(quitTimeout):
		}
	}
	return fmt.Errorf("stop private PostgreSQL: process %d does not end", c.server.Process.Pid)
}

// makeDir makes the folder, locks it as ours and posts the guard.
func (c *Cluster) makeDir(base string, run account) error {
	fresh, err := os.MkdirTemp(base, freshPrefix)
	if err != nil {
		return fmt.Errorf("make folder for private PostgreSQL: %w", err)
	}
	// Locked under a name that no sweep looks at, then renamed: a sweep never sees one of ours without its lock.
	c.owner, err = lockOwner(fresh)
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	c.Dir = filepath.Join(base, dirPrefix+strings.TrimPrefix(filepath.Base(fresh), freshPrefix))
	c.SocketDir = filepath.Join(c.Dir, "socket")
	err = os.Rename(fresh, c.Dir)
	if err == nil {
		c.guard, err = postGuard(c.Dir)
	}
	if err == nil {
		err = os.Mkdir(c.SocketDir, 0o700)
	}
	if err == nil {
		err = run.own(c.Dir, c.SocketDir)
	}
	if err != nil {
		c.owner.Close()
		return errors.Join(fmt.Errorf("make folder for private PostgreSQL: %w", err), os.RemoveAll(fresh), c.guard.release(), os.RemoveAll(c.Dir))
	}
	return nil
}

// create runs initdb.
func (c *Cluster) create(ctx context.Context, bin string, run account) error {
	pwfile := filepath.Join(c.Dir, "password")
	if err := os.WriteFile(pwfile, []byte(c.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password of private PostgreSQL: %w", err)
	}
	if err := run.own(pwfile); err != nil {
		return err
	}
	// #nosec G204 -- the folder comes from FindBin.
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", c.dataDir(), "-U", c.Superuser, "--pwfile="+pwfile,
		"-A", "scram-sha-256", "-E", "UTF8", "--locale="+locale(), "--no-sync")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.Dir, environment(), run.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create private PostgreSQL with initdb: %w\n%s", err, tail(out))
	}
	if err := os.Remove(pwfile); err != nil {
		return fmt.Errorf("remove password file: %w", err)
	}
	return nil
}

// WriteFiles puts files into the data folder, for the server's user alone: it takes no key that others may read. A running
// server reads them when it is told to (pg_reload_conf).
func (c *Cluster) WriteFiles(files map[string]string) error {
	run, err := unprivileged()
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(c.dataDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write %s of private PostgreSQL: %w", name, err)
		}
		if err := run.own(path); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the server, on another port if the first was taken meanwhile.
func (c *Cluster) launch(ctx context.Context, bin string, run account, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	for range portAttempts {
		if c.Port, err = freePort(ctx); err != nil {
			return err
		}
		if err = c.configure(run, o.Settings); err != nil {
			return err
		}
		if err = c.spawn(bin, run, o.Out); err != nil {
			return err
		}
		if err = c.waitReady(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// configure writes the settings; a later line of postgresql.conf wins over an earlier one.
func (c *Cluster) configure(run account, settings map[string]string) error {
	all := map[string]string{ //nolint:gosec // password_encryption names a method; no password is here
		"listen_addresses":        c.Host,
		"port":                    strconv.Itoa(c.Port),
		"unix_socket_directories": c.SocketDir,
		"password_encryption":     "scram-sha-256",
		"shared_buffers":          "128MB",
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	maps.Copy(all, settings)
	var conf strings.Builder
	for name, value := range all {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	path := filepath.Join(c.dataDir(), "postgresql.auto.conf") // read last, over what initdb wrote
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("write settings of private PostgreSQL: %w", err)
	}
	return run.own(path)
}

// spawn starts the postmaster and a goroutine that waits for its end.
func (c *Cluster) spawn(bin string, run account, out io.Writer) error {
	logFile, err := os.Create(c.logPath())
	if err != nil {
		return fmt.Errorf("make log of private PostgreSQL: %w", err)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", c.dataDir()) // #nosec G204 -- as above
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.Dir, environment(), run.attributes()
	cmd.SysProcAttr.Setpgid = true // Ctrl-C on a terminal is for us, not for the server
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if out != nil {
		w := io.MultiWriter(logFile, out)
		cmd.Stdout, cmd.Stderr = w, w
	}
	if err := cmd.Start(); err != nil {
		logFile.Close()
		return fmt.Errorf("start private PostgreSQL: %w", err)
	}
	exited := make(chan struct{})
	c.server, c.exited = cmd, exited
	go func() {
		defer close(exited)
		defer logFile.Close()
		_ = cmd.Wait() // the exit status of a server that is thrown away says nothing; the log does
	}()
	return nil
}

// errPortTaken says that the server could not bind its port.
var errPortTaken = errors.New("port was taken by somebody else")

// waitReady connects until it works. The password exchange proves that the server is ours.
func (c *Cluster) waitReady(ctx context.Context) error {
	config, err := pgconn.ParseConfig(c.SuperDSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err == nil {
			c.Major = majorOf(conn.ParameterStatus("server_version"))
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return c.explainExit()
		case <-ctx.Done():
			return fmt.Errorf("wait for private PostgreSQL: %w", ctx.Err())
		case <-retry.C:
		}
	}
}

// majorOf is 15 for "15.18 (Debian …)" and 19 for "19beta1".
func majorOf(version string) int {
	digits := version
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = version[:end]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0 // unknown, so nothing is newer
	}
	return major
}

// explainExit turns the log of a server that ended at once into an error.
func (c *Cluster) explainExit() error {
	log, err := os.ReadFile(c.logPath())
	if err != nil {
		return fmt.Errorf("read log of private PostgreSQL: %w", err)
	}
	if strings.Contains(string(log), "Address already in use") {
		return fmt.Errorf("start private PostgreSQL on port %d: %w", c.Port, errPortTaken)
	}
	return fmt.Errorf("start private PostgreSQL: it ended at once\n%s", tail(log))
}

func (c *Cluster) dataDir() string { return filepath.Join(c.Dir, "data") }
func (c *Cluster) logPath() string { return filepath.Join(c.Dir, "log") }

// environment is ours without settings of PostgreSQL's and of languages, so that a developer's shell changes nothing.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C")
}

// tail is the end of a program's output, for an error message.
func tail(out []byte) string {
	const most = 2000
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return strings.TrimSpace(string(out))
}
