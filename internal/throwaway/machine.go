package throwaway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// ErrNoPostgreSQL says what to install.
var ErrNoPostgreSQL = errors.New("PostgreSQL's server programs (initdb, postgres) are not on this machine: " + installHint())

func installHint() string {
	if runtime.GOOS == "darwin" {
		return "run `brew install postgresql@17`"
	}
	return "install the package postgresql (Debian, Ubuntu) or postgresql-server (Fedora)"
}

// FindBin is the folder that holds initdb and postgres: from PATH, else the newest that a distribution installed, else as
// pg_config tells. The error says in one sentence what to install.
func FindBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // the other programs lie beside the real one
			if dir, err := filepath.Abs(filepath.Dir(path)); err == nil && hasServer(dir) {
				return dir, nil
			}
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		if dir := newest(pattern); dir != "" {
			return dir, nil
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if dir := strings.TrimSpace(string(out)); hasServer(dir) {
			return dir, nil
		}
	}
	return "", ErrNoPostgreSQL
}

// newest is the match with the highest version that holds the server.
func newest(pattern string) (best string) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return ""
	}
	highest := -1
	for _, dir := range matches {
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, dir)
		version, err := strconv.Atoi(digits)
		if err != nil {
			version = 0 // Homebrew's unversioned folder
		}
		if version > highest && hasServer(dir) {
			best, highest = dir, version
		}
	}
	return best
}

func hasServer(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// account is the user that the server runs as. The zero value is ourselves.
type account struct {
	other    bool
	uid, gid uint32
}

// unprivileged is ourselves, or, since PostgreSQL refuses to run as root, postgres or nobody.
func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return account{other: true, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return account{}, errors.New("find a user to run PostgreSQL as: root must not run it, and there is neither postgres nor nobody")
}

// own gives paths to the account.
func (a account) own(paths ...string) error {
	if !a.other {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("hand folder to the user that runs PostgreSQL: %w", err)
		}
	}
	return nil
}

// attributes make a child run as the account.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// baseDir is where the folders are made: the temporary folder, unless the account could not enter it or the path of the
// socket would be too long for the kernel (108 bytes on Linux, 104 on macOS).
func baseDir(run account) string {
	const room = 104 - len("/sallyport-pg-0123456789/socket/.s.PGSQL.65535") - 1
	base, err := filepath.EvalSymlinks(os.TempDir()) // the guard compares with /proc, which knows no links
	if err == nil && len(base) <= room && (!run.other || open(base)) {
		return base
	}
	if base, err = filepath.EvalSymlinks("/tmp"); err == nil {
		return base
	}
	return "/tmp"
}

// open says whether everybody may enter a folder.
func open(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// locale is one that sorts by byte on every machine and knows UTF-8 where the platform has such a thing.
func locale() string {
	if runtime.GOOS == "linux" {
		return "C.UTF-8"
	}
	return "C"
}

// freePort is a loopback port that nobody listens on, below the range from which the kernel takes ports for outgoing
// connections: one of those could take ours between two starts.
func freePort(ctx context.Context) (int, error) {
	const lowest = 10000
	limit := ephemeralStart()
	if limit <= lowest {
		limit = 65536 // the range covers nearly everything: any port is as good as another
	}
	var last error
	for range 200 {
		port := lowest + rand.IntN(limit-lowest) // #nosec G404 -- a port is no secret
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("find a free port on 127.0.0.1: %w", last)
}

// ephemeralStart is the lowest port of the ephemeral range.
func ephemeralStart() int {
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var low, high int
		if _, err := fmt.Sscan(string(b), &low, &high); err == nil {
			return low
		}
	}
	return 32768 // below Linux's default and IANA's 49152, which macOS uses
}
