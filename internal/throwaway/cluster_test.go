package throwaway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// childEnv makes the test binary a program that starts a cluster and then ends as told, or waits to be killed.
const childEnv = "SALLYPORT_THROWAWAY_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
		return
	}
	goleak.VerifyTestMain(m)
}

func child(how string) {
	c, err := Start(context.Background(), Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(c.Dir, c.guard.cmd.Process.Pid)
	switch how {
	case "panic":
		panic("as the test asked")
	case "exit":
		os.Exit(0)
	default:
		select {}
	}
}

func TestStartStop(t *testing.T) {
	c := start(t)
	if low := ephemeralStart(); c.Port >= low {
		t.Errorf("port %d is not below the ephemeral range, which starts at %d", c.Port, low)
	}
	conn := connect(t, c.SuperDSN("postgres"))
	var encoding string
	var byByte bool
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_encoding'), 'Z' < 'a'").Scan(&encoding, &byByte); err != nil {
		t.Fatal(err)
	}
	if encoding != "UTF8" || !byByte {
		t.Errorf("encoding is %s, texts sort by byte: %v", encoding, byByte)
	}
	if _, err := pgx.Connect(t.Context(), c.DSN(c.Superuser, "wrong", "postgres")); err == nil {
		t.Error("a wrong password was accepted")
	}
	overSocket := connect(t, fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=postgres", c.SocketDir, c.Port, c.Superuser, c.Password))
	if err := overSocket.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder is still there: %v", err)
	}
}

func TestTwoAtOnce(t *testing.T) {
	a, b := start(t), start(t)
	if a.Port == b.Port || a.Dir == b.Dir {
		t.Fatalf("both have port %d and folder %s", a.Port, a.Dir)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, b.SuperDSN("postgres")).Ping(t.Context()); err != nil {
		t.Errorf("stopping one disturbed the other: %v", err)
	}
}

func TestSettings(t *testing.T) {
	c, err := Start(t.Context(), Options{Settings: map[string]string{"fsync": "off", "cluster_name": "it's"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	var fsync, name string
	const query = "SELECT current_setting('fsync'), current_setting('cluster_name')"
	err = connect(t, c.SuperDSN("postgres")).QueryRow(t.Context(), query).Scan(&fsync, &name)
	if err != nil || fsync != "off" || name != "it's" {
		t.Errorf("fsync %q, cluster_name %q: %v", fsync, name, err)
	}
}

func TestWrongSettingIsExplained(t *testing.T) {
	_, err := Start(t.Context(), Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error does not quote the server's log: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestEndOfOwner ends the owner in every way in which it cannot clean up itself: the guard does.
func TestEndOfOwner(t *testing.T) {
	for _, how := range []string{"exit", "panic", "interrupt", "kill"} {
		t.Run(how, func(t *testing.T) {
			cmd, dir, _ := startChild(t, how)
			switch how {
			case "interrupt":
				signal(t, cmd.Process.Pid, syscall.SIGINT)
			case "kill":
				signal(t, cmd.Process.Pid, syscall.SIGKILL)
			}
			_ = cmd.Wait()
			waitGone(t, dir)
		})
	}
}

// TestLeftOver kills the guard first: then nobody is there to clean up, and the next Start does.
func TestLeftOver(t *testing.T) {
	cmd, dir, guardPid := startChild(t, "wait")
	signal(t, guardPid, syscall.SIGKILL)
	signal(t, cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Fatalf("nothing was left over: %v", err)
	}
	start(t)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next start did not remove the left-over: %v", err)
	}
}

// TestStopWithoutGuard kills the guard only: Stop does its work.
func TestStopWithoutGuard(t *testing.T) {
	c := start(t)
	signal(t, c.guard.cmd.Process.Pid, syscall.SIGKILL)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(c.server.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server still runs: %v", err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder is still there: %v", err)
	}
}

// TestSweepLeavesOthersAlone: a live cluster's folder, and a stale pid file that names somebody else's process.
func TestSweepLeavesOthersAlone(t *testing.T) {
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()

	run, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	left := filepath.Join(base, dirPrefix+"1")
	data := filepath.Join(left, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	pidFile := fmt.Sprintf("%d\n%s\n", bystander.Process.Pid, data)
	if err := os.WriteFile(filepath.Join(data, "postmaster.pid"), []byte(pidFile), 0o600); err != nil {
		t.Fatal(err)
	}
	alive := filepath.Join(base, dirPrefix+"2")
	if err := os.Mkdir(alive, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := lockOwner(alive)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	sweep(base, run)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the left-over is still there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("a folder in use is gone: %v", err)
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process that a stale pid file named is gone: %v", err)
	}
}

// TestAsNormalUser runs the package's first test again as nobody, when this run is root's.
func TestAsNormalUser(t *testing.T) {
	run, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	if !run.other {
		t.Skip("this run is a normal user's already")
	}
	binary := filepath.Join("/tmp", fmt.Sprintf("sallyport-throwaway-test-%d", os.Getpid())) // where that user can reach it
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("the test binary can be copied only where there is /proc")
	}
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(binary)
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^(TestStartStop|TestLeftOver)$")
	cmd.Dir, cmd.SysProcAttr = "/tmp", run.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFindBin: the folder of a real server wins, also behind a link, and one without the server does not count.
func TestFindBin(t *testing.T) {
	folder := func(programs ...string) string {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	whole, half, links := folder("initdb", "postgres"), folder("initdb"), folder()
	if err := os.Symlink(filepath.Join(whole, "initdb"), filepath.Join(links, "initdb")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{whole, links} {
		t.Setenv("PATH", path)
		if dir, err := FindBin(); err != nil || dir != whole {
			t.Errorf("with %s in PATH found %s, want %s: %v", path, dir, whole, err)
		}
	}
	t.Setenv("PATH", half)
	if dir, err := FindBin(); dir == half || (err != nil && !strings.Contains(err.Error(), "install")) {
		t.Errorf("found %s: %v", dir, err)
	}
}

func start(t *testing.T) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// startChild runs this test binary as another program with a cluster of its own.
func startChild(t *testing.T, how string) (cmd *exec.Cmd, dir string, guardPid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+how)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &dir, &guardPid); err != nil {
		t.Fatalf("child said %q: %v", line, err)
	}
	return cmd, dir, guardPid
}

func signal(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// waitGone waits until a folder is gone.
func waitGone(t *testing.T, dir string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		case <-look.C:
		}
	}
}
