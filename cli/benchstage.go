package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// The ways to the server that are compared.
const (
	wayDirect  = "direct"
	wayPooler  = "pgbouncer"
	wayGateway = "sallyport"
)

// Whose log-ins the benchmarks use: services, with budgets that never stop them; benchClient has a grant too (demo.yaml).
const (
	benchClient   sallyport.Staff = sim.Telephony
	benchStranger sallyport.Staff = sim.Router
)

// benchStage is what the benchmarks run on: the demonstration's stage, with the gateway and a pooler as processes of their own,
// so that what each costs can be read from the kernel.
type benchStage struct {
	*demoStage
	gateway, pooler *benchProcess
}

// benchProcess is a program between the clients and the server.
type benchProcess struct {
	cmd     *exec.Cmd
	address string
	pid     int
	idle    float64 // MiB that it held when it had just begun to listen
	out     *os.File
}

// set builds everything and starts it.
func (s *benchStage) set(ctx context.Context, progress func(string, int64, int64)) error {
	if err := s.build(ctx, progress); err != nil {
		return err
	}
	if _, err := s.protect(ctx, progress); err != nil {
		return err
	}
	if err := s.fillPgbench(ctx); err != nil {
		return err
	}
	var err error
	if s.gateway, err = s.startGateway(ctx); err != nil {
		return err
	}
	s.pooler, err = s.startPooler(ctx)
	return err
}

// fillPgbench makes pgbench's tables in the protected database, which stay unprotected, and settles everything that was loaded.
func (s *benchStage) fillPgbench(ctx context.Context) error {
	bin, err := throwaway.FindBin()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pgbench"), "-i", "-q", "-s", "10", s.cluster.SuperDSN(demoDatabase)) //nolint:gosec // PostgreSQL's own
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fill pgbench's tables: %w: %s", err, out)
	}
	conn, err := pgx.Connect(ctx, s.cluster.SuperDSN(demoDatabase))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{
		"GRANT SELECT ON ALL TABLES IN SCHEMA public, support TO PUBLIC", "GRANT USAGE ON SCHEMA support TO PUBLIC", "VACUUM (FREEZE, ANALYZE)", "CHECKPOINT",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare private PostgreSQL: %w", err)
		}
	}
	return nil
}

// startGateway starts this very program as 'sallyport serve'.
func (s *benchStage) startGateway(ctx context.Context) (*benchProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	address := throwaway.QuietAddress()
	p, err := s.start(ctx, address, exec.CommandContext(ctx, self, "serve", "--config", filepath.Join(s.folder, "sallyport.yaml"), "--data", s.data(), "--key-file", s.keyFile(), "--listen", address))
	return p, err
}

// poolerConfig is pgbouncer's: one server connection for each client, as Sallyport has.
const poolerConfig = `[databases]
%[1]s = host=127.0.0.1 port=%[2]d dbname=%[1]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[3]s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[4]s
pool_mode = session
max_client_conn = 500
default_pool_size = 200
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`

// startPooler starts pgbouncer, if it is installed; a nil process says that it is not.
func (s *benchStage) startPooler(ctx context.Context) (*benchProcess, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // not in the PATH of everybody
		if _, err := os.Stat(path); err != nil {
			return nil, nil
		}
	}
	folder, err := s.cluster.Folder("pgbouncer")
	if err != nil {
		return nil, err
	}
	address := throwaway.QuietAddress()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("start pgbouncer: %w", err)
	}
	users, ini := filepath.Join(folder, "users.txt"), filepath.Join(folder, "pgbouncer.ini")
	files := map[string]string{
		users: fmt.Sprintf("%q %q\n%q %q\n", benchClient, s.passwords[benchClient], benchStranger, s.passwords[benchStranger]),
		ini:   fmt.Sprintf(poolerConfig, demoDatabase, s.cluster.Port, port, users),
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // within a folder of mode 0700
			return nil, fmt.Errorf("configure pgbouncer: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, path, "-q", ini)
	if err := s.cluster.RunAs(cmd); err != nil { // it refuses root too
		return nil, err
	}
	return s.start(ctx, address, cmd)
}

// start starts a program and waits until it listens.
func (s *benchStage) start(ctx context.Context, address string, cmd *exec.Cmd) (*benchProcess, error) {
	name := filepath.Base(cmd.Path)
	out, err := os.CreateTemp(s.folder, name+".*.log")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), out.Close())
	}
	p := &benchProcess{cmd: cmd, address: address, pid: cmd.Process.Pid, out: out}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		conn, err := pgx.Connect(ctx, s.dsn(benchClient, address, ""))
		if err == nil {
			p.idle = p.memory("VmRSS")
			return p, conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), p.end())
		case <-tick.C:
		}
	}
	said, _ := io.ReadAll(io.NewSectionReader(out, 0, 4096))
	return nil, errors.Join(fmt.Errorf("%s does not take connections on %s: %s", name, address, strings.TrimSpace(string(said))), p.end())
}

// end interrupts the program and waits for it.
func (p *benchProcess) end() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	err := p.cmd.Wait()
	var status *exec.ExitError
	if errors.As(err, &status) || errors.Is(err, context.Canceled) {
		err = nil // an interrupted program may say so
	}
	return errors.Join(err, p.out.Close())
}

// strike takes everything down.
func (s *benchStage) strike() error {
	return errors.Join(s.gateway.end(), s.pooler.end(), s.demoStage.strike())
}

// ways are those that there are, direct first.
func (s *benchStage) ways() []string {
	if s.pooler == nil {
		return []string{wayDirect, wayGateway}
	}
	return []string{wayDirect, wayPooler, wayGateway}
}

// of is the program of a way, nil for the direct one, and where it listens.
func (s *benchStage) of(way string) (*benchProcess, string) {
	switch way {
	case wayGateway:
		return s.gateway, s.gateway.address
	case wayPooler:
		return s.pooler, s.pooler.address
	}
	return nil, s.directAddress()
}

// cpu is what a program has used so far (utime and stime of proc(5), in ticks of 10 ms); zero where the kernel does not tell.
func (p *benchProcess) cpu() time.Duration {
	if p == nil {
		return 0
	}
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "stat"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// family is the program and those that it started, as long as they run.
func (p *benchProcess) family() []*benchProcess {
	list := []*benchProcess{p}
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(p.pid), "task", "*", "children")) // its pattern is sound
	for _, task := range tasks {
		b, err := os.ReadFile(task) //nolint:gosec // proc(5)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(child); err == nil {
				list = append(list, &benchProcess{pid: pid})
			}
		}
	}
	return list
}

// Until it works less than this part of a look's time, so often in turn, a program is busy with what went before.
const (
	settleLook  = 100 * time.Millisecond
	settleShare = 0.05
	settleTimes = 5
	settleMost  = 2 * time.Minute
)

// settle waits until the program and those that it started have done what they put off, and returns what they used for that.
func (p *benchProcess) settle(ctx context.Context) (used time.Duration, err error) {
	if p == nil {
		return 0, nil
	}
	all := func() (sum time.Duration) {
		for _, one := range p.family() {
			sum += one.cpu()
		}
		return sum
	}
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	began := all()
	for quiet, before, until := 0, began, time.Now().Add(settleMost); quiet < settleTimes; {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
		}
		now := all()
		if quiet++; (now - before).Seconds() > settleShare*settleLook.Seconds()*2 {
			quiet = 0
		}
		if before = now; time.Now().After(until) {
			return 0, fmt.Errorf("%s was still at work after %s", filepath.Base(p.cmd.Path), settleMost)
		}
	}
	return all() - began, nil
}

// memory is one line of the process's status (proc(5)) in MiB: VmRSS now, VmHWM the peak.
func (p *benchProcess) memory(line string) float64 {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if rest, ok := strings.CutPrefix(scan.Text(), line+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// forgetPeak has the kernel begin anew with the peak (proc(5), clear_refs).
func (p *benchProcess) forgetPeak() {
	_ = os.WriteFile(filepath.Join("/proc", strconv.Itoa(p.pid), "clear_refs"), []byte("5"), 0) // else the peak is an older one
}

// benchMachine says on what the figures were taken.
func benchMachine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.Trim(name, " \t:\n")
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
