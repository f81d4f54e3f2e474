package serve

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/internal/disk"
	"sallyport/internal/throwaway"
)

// forgetfulName is the program of BenchmarkJournal that keeps what gateways record in memory. It is this test, and in no other program.
const forgetfulName = "sallyport-forgetful"

// forgetful is serve with the access stream in memory: CONFIG DATA KEY-FILE LISTEN.
func forgetful() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := config.Load(os.Args[1])
	if err == nil {
		err = forget(ctx, &Options{Config: config, Data: os.Args[2], KeyFile: os.Args[3], Listen: os.Args[4], Getenv: os.Getenv})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func forget(ctx context.Context, o *Options) (err error) {
	if o.disk, err = loadMemory(filepath.Join(o.Data, "access")); err != nil {
		return err
	}
	s, err := Start(ctx, *o)
	if err != nil {
		return err
	}
	defer FitProcessors(s.AccessStream.Syncs)()
	<-s.Done()
	return s.Err()
}

// memoryDisk is a Disk that nothing is written to.
type memoryDisk struct {
	mu    sync.Mutex // guards files and what is in them
	files map[string]*memoryFile
}

type memoryFile struct {
	m *memoryDisk
	b []byte
}

// loadMemory begins with what is in a folder.
func loadMemory(dir string) (*memoryDisk, error) {
	m := &memoryDisk{files: map[string]*memoryFile{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		m.files[filepath.Base(name)] = &memoryFile{m, b}
	}
	return m, err
}

func (m *memoryDisk) List() (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		names = append(names, name)
	}
	return names, nil
}

func (m *memoryDisk) Open(name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f, nil
	}
	return nil, syscall.ENOENT
}

func (m *memoryDisk) Create(name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = &memoryFile{m: m}
	return m.files[name], nil
}

func (m *memoryDisk) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memoryDisk) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memoryDisk) Sync() error { return nil }

func (f *memoryFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(b, f.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if end := int(off) + len(b); end > len(f.b) {
		f.b = append(f.b, make([]byte, end-len(f.b))...)
	}
	return copy(f.b[off:], b), nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.b = f.b[:min(size, int64(len(f.b)))]
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.b)), nil
}

func (f *memoryFile) Sync() error  { return nil }
func (f *memoryFile) Close() error { return nil }

// BenchmarkJournal is the same work with the journal on (encrypted, on the disk, synced) and off (in memory, never synced), in turns: look-ups
// that reveal a customer each, and statements that touch nothing protected. on/off is the median of the rounds' ratios of transactions.
func BenchmarkJournal(b *testing.B) {
	bin, err := throwaway.FindBin()
	if err != nil {
		b.Skip(err)
	}
	ways := map[string]*journalWay{"on": newJournalWay(b, "sallyport"), "off": newJournalWay(b, forgetfulName)}
	work := map[string]string{
		"reveal": fmt.Sprintf("\\set id random(1, %d)\nSELECT email FROM support.customers WHERE id = :id;\n", fortCustomers),
		"other":  "\\set n random(1, 100000)\nSELECT n FROM public.plain WHERE n = :n;\n",
	}
	for _, name := range []string{"reveal", "other"} {
		script := filepath.Join(b.TempDir(), name+".sql")
		if err := os.WriteFile(script, []byte(work[name]), 0o600); err != nil {
			b.Fatal(err)
		}
		for _, clients := range []int{8, 64} {
			b.Run(fmt.Sprintf("%s/%d", name, clients), func(b *testing.B) {
				tps, ratios := map[string][]float64{}, []float64{}
				for b.Loop() {
					for way, w := range ways {
						tps[way] = append(tps[way], w.pgbench(b, filepath.Join(bin, "pgbench"), script, clients))
					}
					ratios = append(ratios, tps["on"][len(tps["on"])-1]/tps["off"][len(tps["off"])-1])
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(middle(tps["on"]), "tps_on")
				b.ReportMetric(middle(tps["off"]), "tps_off")
				b.ReportMetric(middle(ratios), "on/off")
			})
		}
	}
}

// journalWay is a gateway in a process of its own, in front of a database of its own.
type journalWay struct {
	f       *fort
	address string
}

func newJournalWay(b *testing.B, name string) *journalWay {
	b.Helper()
	f := newFort(b, shredGrants)
	f.stop()
	f.superExec(f.database, "CREATE TABLE public.plain AS SELECT generate_series(1, 100000) AS n; CREATE UNIQUE INDEX ON public.plain (n); GRANT SELECT ON public.plain TO PUBLIC; ANALYZE public.plain")
	program := filepath.Join(b.TempDir(), name)
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, program)
	}
	if err != nil {
		b.Fatal(err)
	}
	w := &journalWay{f: f, address: throwaway.QuietAddress()}
	args := []string{filepath.Join(f.folder, "sallyport.yaml"), f.options.Data, f.options.KeyFile, w.address}
	if name == "sallyport" {
		args = []string{"serve", "--config", args[0], "--data", args[1], "--key-file", args[2], "--listen", args[3]}
	}
	serve := exec.Command(program, args...) //nolint:gosec // this very test binary
	serve.Stderr = f.log
	if err := serve.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = serve.Process.Signal(os.Interrupt)
		_ = serve.Wait()
	})
	within(b, 30*time.Second, name+" serves", func() bool {
		conn, err := pgx.Connect(b.Context(), w.dsn())
		if err == nil {
			_ = conn.Close(b.Context())
		}
		return err == nil
	})
	return w
}

func (w *journalWay) dsn() string {
	return fmt.Sprintf("postgres://s050:%s@%s/%s?sslmode=disable", w.f.passwords["s050"], w.address, w.f.database)
}

// pgbench runs a script 8,000 times, and returns transactions a second without the time to connect.
func (w *journalWay) pgbench(b *testing.B, program, script string, clients int) float64 {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, "-n", "-t", strconv.Itoa(8000/clients), "-c", strconv.Itoa(clients), "-j", "2", "-f", script, w.dsn()) //nolint:gosec // PostgreSQL's own
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v: %s\n%s", err, out, w.f.log)
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		b.Fatalf("pgbench: %s", out)
	}
	tps, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return tps
}

// middle is the median of the rounds.
func middle(rounds []float64) float64 {
	sorted := slices.Sorted(slices.Values(rounds))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
