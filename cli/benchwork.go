package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/durable"
	"sallyport/internal/throwaway"
	"sallyport/wire/pg"
)

// transactions is pgbench -S: one short statement a transaction, nothing protected, everything recorded.
func (b *bench) transactions(ctx context.Context) (lines []benchLine, err error) {
	for _, mode := range []string{"simple", "prepared"} {
		for _, clients := range b.o.clients {
			cpu, p99 := map[string][]float64{}, map[string][]float64{}
			rounds, err := b.inTurn(ctx, b.ways(), func(ctx context.Context, way string) (float64, error) {
				program, address := b.of(way)
				before := program.cpu()
				r, err := b.pgbench(ctx, address, mode, clients)
				if err != nil {
					return 0, err
				}
				cpu[way] = append(cpu[way], float64((program.cpu()-before).Microseconds())/float64(r.transactions))
				p99[way] = append(p99[way], r.p99.Seconds()*1000)
				return r.tps, nil
			})
			if err != nil {
				return nil, err
			}
			l := newBenchLine(fmt.Sprintf("pgbench -S -M %s -c %d", mode, clients), "tps", rounds)
			for _, way := range b.ways() {
				l.P99[way] = median(p99[way])
				if way != wayDirect {
					l.CPU[way] = median(cpu[way])
				}
			}
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// pgbenchRun is one run of pgbench.
type pgbenchRun struct {
	tps          float64
	transactions int
	p99          time.Duration
}

var (
	pgbenchTPS   = regexp.MustCompile(`tps = ([0-9.]+) \(without initial`)                   //nolint:gochecknoglobals // compiled once
	pgbenchCount = regexp.MustCompile(`number of transactions actually processed: ([0-9]+)`) //nolint:gochecknoglobals // compiled once
)

func (b *bench) pgbench(ctx context.Context, address, mode string, clients int) (r pgbenchRun, err error) {
	bin, err := throwaway.FindBin()
	if err != nil {
		return r, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return r, fmt.Errorf("run pgbench: %w", err)
	}
	folder, err := os.MkdirTemp(b.folder, "pgbench")
	if err != nil {
		return r, fmt.Errorf("run pgbench: %w", err)
	}
	defer os.RemoveAll(folder)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pgbench"), "-n", "-S", "-M", mode, "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), //nolint:gosec // PostgreSQL's own
		"-T", strconv.Itoa(b.o.seconds), "--log", "--log-prefix", filepath.Join(folder, "log"), demoDatabase)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+string(benchClient), "PGPASSWORD="+b.passwords[benchClient], "PGSSLMODE=disable", "PGGSSENCMODE=disable", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("run pgbench: %w: %s", err, out)
	}
	tps, count := pgbenchTPS.FindSubmatch(out), pgbenchCount.FindSubmatch(out)
	if tps == nil || count == nil {
		return r, fmt.Errorf("run pgbench: it printed something else than expected: %s", out)
	}
	if r.tps, err = strconv.ParseFloat(string(tps[1]), 64); err != nil {
		return r, fmt.Errorf("run pgbench: %w", err)
	}
	if r.transactions, err = strconv.Atoi(string(count[1])); err != nil {
		return r, fmt.Errorf("run pgbench: %w", err)
	}
	r.p99, err = percentile(folder, 0.99)
	return r, err
}

// percentile reads pgbench's logs of single transactions: the third word of a line is its microseconds.
func percentile(folder string, p float64) (time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(folder, "log*"))
	if err != nil {
		return 0, fmt.Errorf("read pgbench's log: %w", err)
	}
	var all []int
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return 0, fmt.Errorf("read pgbench's log: %w", err)
		}
		for scan := bufio.NewScanner(f); scan.Scan(); {
			words := strings.Fields(scan.Text())
			if len(words) < 3 {
				continue
			}
			us, err := strconv.Atoi(words[2])
			if err == nil {
				all = append(all, us)
			}
		}
		f.Close()
	}
	if len(all) == 0 {
		return 0, errors.New("read pgbench's log: it is empty")
	}
	slices.Sort(all)
	return time.Duration(all[int(float64(len(all)-1)*p)]) * time.Microsecond, nil
}

// The wide results: six columns of every customer.
var wideResults = []struct { //nolint:gochecknoglobals // a constant table
	work, sql string
	who       sallyport.Staff
}{
	{"rows, nothing protected", "SELECT country, plan, segment, created_at, country, plan FROM support.customers", benchClient},
	{"rows, e-mail revealed under a grant", "SELECT id, email, country, plan, segment, created_at FROM support.customers", benchClient},
	{"rows, e-mail left as tokens", "SELECT id, email, country, plan, segment, created_at FROM support.customers", benchStranger},
}

// rows reads every customer at once. A client that only counts bytes takes them, so that the path is measured and not the client.
func (b *bench) rows(ctx context.Context) (lines []benchLine, err error) {
	for _, wide := range wideResults {
		var peak float64
		var behind []float64
		cpu := map[string][]float64{}
		rounds, err := b.inTurn(ctx, b.ways(), func(ctx context.Context, way string) (float64, error) {
			program, address := b.of(way)
			if way == wayGateway {
				program.forgetPeak()
			}
			before := program.cpu()
			took, rows, err := drainQuery(ctx, b.dsn(wide.who, address, ""), wide.sql)
			if err != nil {
				return 0, err
			}
			if rows != b.org.Customers {
				return 0, fmt.Errorf("%d rows came; expected %d", rows, b.org.Customers)
			}
			cpu[way] = append(cpu[way], float64((program.cpu()-before).Microseconds())/float64(rows))
			if way == wayGateway {
				peak = max(peak, program.memory("VmHWM")-program.idle)
				later, err := program.settle(ctx)
				behind = append(behind, float64(later.Microseconds())/float64(rows))
				return took.Seconds(), err
			}
			return took.Seconds(), nil
		})
		if err != nil {
			return nil, err
		}
		l := newBenchLine(fmt.Sprintf("%s × 6 %s", grouped(b.org.Customers), wide.work), "s", rounds)
		for _, way := range b.ways()[1:] {
			l.CPU[way] = median(cpu[way])
		}
		l.Memory, l.Behind = peak, median(behind)
		lines = append(lines, l)
	}
	return lines, nil
}

// drainQuery sends a statement and reads its result to the end, counting rows.
func drainQuery(ctx context.Context, dsn, sql string) (took time.Duration, rows int64, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	if err := conn.PgConn().SyncConn(ctx); err != nil { // after a slow write pgx reads on in the background, which would take bytes away
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	raw, err := conn.PgConn().Hijack()
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	defer raw.Conn.Close()
	start := time.Now()
	if _, err := raw.Conn.Write(pg.AppendQuery(nil, sql)); err != nil {
		return 0, 0, fmt.Errorf("send statement: %w", err)
	}
	buffer := make([]byte, 256<<10)
	have := 0
	for {
		n, err := raw.Conn.Read(buffer[have:])
		if err != nil {
			return 0, 0, fmt.Errorf("read result: %w", err)
		}
		have += n
		at := 0
		for {
			kind, size, ok, err := pg.Header(buffer[at:have])
			if err != nil {
				return 0, 0, fmt.Errorf("read result: %w", err)
			}
			if !ok || at+size > have {
				break
			}
			switch kind {
			case pg.DataRow:
				rows++
			case pg.ErrorResponse:
				notice, _ := pg.ParseNotice(buffer[at : at+size])
				return 0, 0, fmt.Errorf("read result: %s", notice.Get(pg.Message))
			case pg.ReadyForQuery:
				return time.Since(start), rows, nil
			}
			at += size
		}
		have = copy(buffer, buffer[at:have])
	}
}

// revealsPerRound is how many customers are read for one figure.
const revealsPerRound = 300

// reveals is one customer read under a ticket whose purpose is resolved, with its record on disk, beside the same statement straight at
// the server, and beside that statement followed by one write of 4 KiB and fdatasync on the same disk, which is the least that a program can do
// that records before it shows.
func (b *bench) reveals(ctx context.Context) ([]benchLine, error) {
	agent := b.org.Agents()[0].ID
	tickets, err := b.openTickets(ctx, agent)
	if err != nil {
		return nil, err
	}
	if len(tickets) == 0 {
		return nil, fmt.Errorf("%s has no open ticket", agent)
	}
	disk, err := b.openSyncFile()
	if err != nil {
		return nil, err
	}
	defer disk.remove()
	const wayRecorded = "direct and a sync"
	rounds, err := b.inTurn(ctx, []string{wayDirect, wayRecorded, wayGateway}, func(ctx context.Context, way string) (float64, error) {
		record := func() error { return nil }
		if way == wayRecorded {
			way, record = wayDirect, disk.sync
		}
		_, address := b.of(way)
		return revealOnce(ctx, b.dsn(agent, address, ""), tickets[0], record)
	})
	if err != nil {
		return nil, err
	}
	return []benchLine{
		newBenchLine("one customer revealed, p50", "ms", map[string][]float64{wayDirect: rounds[wayDirect], wayGateway: rounds[wayGateway]}),
		newBenchLine("the same; direct with a write and fdatasync of 4 KiB", "ms", map[string][]float64{wayDirect: rounds[wayRecorded], wayGateway: rounds[wayGateway]}),
	}, nil
}

// revealOnce is the median latency of reading one customer and recording it, in milliseconds.
func revealOnce(ctx context.Context, dsn string, ticket openTicket, record func() error) (float64, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.id)); err != nil {
		return 0, fmt.Errorf("set purpose: %w", err)
	}
	took := make([]float64, 0, revealsPerRound)
	for range revealsPerRound {
		var email string
		start := time.Now()
		if err := conn.QueryRow(ctx, "SELECT email FROM support.customers WHERE id = $1", ticket.customer).Scan(&email); err != nil {
			return 0, fmt.Errorf("read customer: %w", err)
		}
		if err := record(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start).Seconds()*1000)
	}
	return median(took), nil
}

// syncFile is a zero-filled file on the disk of the record, written one page after the other and from its beginning again.
type syncFile struct {
	*os.File
	page []byte
	next int64
}

func (b *bench) openSyncFile() (*syncFile, error) {
	f, err := os.CreateTemp(b.data(), "sync")
	if err != nil {
		return nil, fmt.Errorf("measure the disk: %w", err)
	}
	d := &syncFile{File: f, page: make([]byte, 4096)}
	for range revealsPerRound {
		if _, err := f.Write(d.page); err != nil {
			d.remove()
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		d.remove()
		return nil, fmt.Errorf("measure the disk: %w", err)
	}
	d.page[0] = 1
	return d, nil
}

func (d *syncFile) sync() error {
	if _, err := d.WriteAt(d.page, d.next*int64(len(d.page))); err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	d.next = (d.next + 1) % revealsPerRound
	if err := durable.SyncData(d.File); err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	return nil
}

func (d *syncFile) remove() {
	_ = d.Close() // it held nothing
	_ = os.Remove(d.Name())
}
