package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sallyport"
	"sallyport/internal/throwaway"
)

// program runs one of PostgreSQL's own client programs as somebody, and keeps the beginning and the end of what it prints.
// That the program fails is for its output to say.
func (s *demoStage) program(ctx context.Context, who sallyport.Staff, address, name string, args ...string) (*excerpt, error) {
	bin, err := throwaway.FindBin()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err != nil { // some distributions keep servers and clients apart
		if path, err = exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("find %s, which belongs to PostgreSQL's client programs: %w", name, err)
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // PostgreSQL's own, with arguments of ours
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }),
		"PGHOST="+host, "PGPORT="+port, "PGDATABASE="+demoDatabase, "PGUSER="+string(who), "PGPASSWORD="+s.passwords[who],
		"PGSSLMODE=disable", "PGGSSENCMODE=disable", "PGCLIENTENCODING=UTF8", "LC_MESSAGES=C")
	out := &excerpt{}
	cmd.Stdout, cmd.Stderr = out, &complaints{out}
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return out, nil
}

// How psql prints rows.
const (
	aligned   = "--pset=format=aligned"
	unaligned = "--no-align"
	expanded  = "--expanded"
)

// psql runs statements in one session and echoes them.
func (s *demoStage) psql(ctx context.Context, who sallyport.Staff, address, form string, statements ...string) (*excerpt, error) {
	// Rows are fetched and printed a hundred at a time: psql would keep a result that is cut to itself.
	args := []string{"-X", "-e", "-P", "pager=off", "-v", "FETCH_COUNT=100", form}
	for _, statement := range statements {
		args = append(args, "-c", statement)
	}
	return s.program(ctx, who, address, "psql", args...)
}

// excerpt keeps the beginning of what a program prints and the last of its complaints, so that a stolen database does not have to
// fit into memory.
type excerpt struct {
	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	errors  bytes.Buffer
	dropped bool
}

// complaints is where the program's standard error goes.
type complaints struct{ *excerpt }

// How much is kept.
const (
	excerptText   = 16 << 10
	excerptErrors = 4 << 10
)

// Write takes standard output and never fails.
func (e *excerpt) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	room := min(excerptText-e.text.Len(), len(p))
	e.text.Write(p[:room])
	e.dropped = e.dropped || room < len(p)
	return len(p), nil
}

// Write takes standard error and never fails.
func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.errors.Write(p)
	c.errors.Next(max(0, c.errors.Len()-excerptErrors)) // of many notices, the last
	c.mu.Unlock()
	return c.excerpt.Write(p)
}

// contains looks into what was kept.
func (e *excerpt) contains(text string) bool { return strings.Contains(e.text.String(), text) }

// lines are what the program printed; of much, the first lines, and then its complaints.
func (e *excerpt) lines(first int) []string {
	all := fullLines(e.text.String())
	if len(all) > first || e.dropped {
		all = append(all[:min(first, len(all))], "…")
		for i, line := range fullLines(e.errors.String()) {
			cut := i == 0 && e.errors.Len() == excerptErrors
			if !cut && !slices.Contains(all, line) {
				all = append(all, line)
			}
		}
	}
	var page []string
	for _, line := range all {
		page = append(page, fit(line)...)
	}
	return page
}

func fullLines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
}

// pageWidth is how wide a line may be.
const pageWidth = 128

// fit breaks sentences and cuts rows.
func fit(line string) (page []string) {
	runes := []rune(strings.TrimRight(strings.ReplaceAll(line, "\t", "  "), " "))
	sentence := slices.ContainsFunc([]string{"NOTICE:", "HINT:", "FATAL:", "ERROR:", "WARNING:", "DETAIL:", "error:"}, func(mark string) bool {
		return strings.Contains(line, mark)
	})
	for len(runes) > pageWidth && sentence {
		at := pageWidth
		for at > 1 && runes[at] != ' ' {
			at--
		}
		page = append(page, string(runes[:at]))
		runes = append([]rune("       "), runes[at:]...)
	}
	if len(runes) > pageWidth {
		runes = append(runes[:pageWidth-1], '…')
	}
	return append(page, string(runes))
}
