package throwaway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A folder carries freshPrefix until its lock is held, dirPrefix from then on.
const (
	dirPrefix   = "sallyport-pg-"
	freshPrefix = "sallyport-new-"
	ownerName   = "owner" // the file in the folder whose lock says that its owner lives
)

// guardScript stops the server of the folder $1 and removes the folder, once its standard input ends. The kernel closes
// that pipe however our process ends, so this works after a panic, os.Exit and SIGKILL too. It signals only a process that
// postmaster.pid names together with this very folder and, where /proc tells, that works in it. Bounded to about 15 s.
const guardScript = `
trap '' INT TERM HUP QUIT
cat >/dev/null
dir=$1
signal() {
	{ read -r pid && read -r data; } 2>/dev/null <"$dir/data/postmaster.pid" || return 1
	case $pid in ''|*[!0-9]*) return 1;; esac
	[ "$data" = "$dir/data" ] || return 1
	if [ -d /proc/self ]; then [ "$(readlink "/proc/$pid/cwd")" = "$data" ] || return 1; fi
	kill -"$1" "$pid" 2>/dev/null
}
tries=0
while [ -e "$dir/data/postmaster.pid" ] && [ $tries -lt 400 ]; do
	if [ $tries -lt 350 ]; then signal QUIT || break; else signal KILL || break; fi
	tries=$((tries+1))
	sleep 0.03
done
tries=0
while rm -rf "$dir" 2>/dev/null; [ -e "$dir" ] && [ $tries -lt 100 ]; do
	tries=$((tries+1))
	sleep 0.03
done
`

// guard is a shell that outlives us for as long as it takes to clean up.
type guard struct {
	cmd  *exec.Cmd
	line io.WriteCloser // open while we live
}

// postGuard starts the guard of a folder.
func postGuard(dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "sallyport-guard", dir) // #nosec G204 -- the folder is ours
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C on our terminal must not end it
	line, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("post guard of private PostgreSQL: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("post guard of private PostgreSQL: %w", err)
	}
	return &guard{cmd: cmd, line: line}, nil
}

// release lets the guard do its work now and waits for it.
func (g *guard) release() error {
	if g == nil {
		return nil
	}
	if err := errors.Join(g.line.Close(), g.cmd.Wait()); err != nil {
		return fmt.Errorf("stop private PostgreSQL: %w", err)
	}
	return nil
}

// lockOwner makes the owner file of a new folder and locks it for as long as the file is open.
func lockOwner(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ownerName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mark folder of private PostgreSQL as ours: %w", err)
	}
	if _, err = fmt.Fprintf(f, "%d\n", os.Getpid()); err == nil { // for people only: the lock is what counts
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mark folder of private PostgreSQL as ours: %w", err)
	}
	return f, nil
}

// sweep removes what killed runs left, guards and all. What it cannot remove it leaves to a later run: a left-over is no
// reason not to start.
func sweep(base string, run account) {
	for _, pattern := range []string{dirPrefix, freshPrefix} {
		dirs, err := filepath.Glob(filepath.Join(base, pattern+"*"))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if abandoned(dir, run) {
				cmd := exec.Command("/bin/sh", "-c", guardScript, "sallyport-sweep", dir) // #nosec G204 -- abandoned has looked
				cmd.Dir = "/"
				_ = cmd.Run()
			}
		}
	}
}

// abandoned says whether a folder is one of ours whose owner is gone.
func abandoned(dir string, run account) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (int(stat.Uid) != os.Geteuid() && !(run.other && stat.Uid == run.uid)) {
		return false
	}
	if strings.HasPrefix(filepath.Base(dir), freshPrefix) && time.Since(info.ModTime()) < time.Minute {
		return false // its owner may be about to lock it
	}
	f, err := os.Open(filepath.Join(dir, ownerName))
	if errors.Is(err, os.ErrNotExist) {
		return true // its guard was killed half-way through
	}
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
