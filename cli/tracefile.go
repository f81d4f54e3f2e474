package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"sallyport"
	"sallyport/serve"
	logs "sallyport/sources"
	"sallyport/trace"
)

// leakLine is the object that FORMATS describes.
type leakLine struct {
	Rows    int          `json:"rows"`
	Matched int          `json:"matched"` // rows about somebody whom anybody was shown
	Column  string       `json:"column"`  // in which customers were recognised
	Sources []sourceLine `json:"sources"`
	None    float64      `json:"none"`
}

type sourceLine struct {
	Kind      string            `json:"kind"`
	ID        string            `json:"id"`
	Staff     []sallyport.Staff `json:"staff"`
	Posterior float64           `json:"posterior"`
	Rows      int               `json:"rows"`
	Customers int               `json:"customers"`
}

// traceFile says where a leaked file comes from.
func (m *Main) traceFile(ctx context.Context, f *traceFlags) error {
	r := &logs.Reader{Stdin: m.Stdin, Strict: f.strict, Report: func(p *logs.Problem) { fmt.Fprintln(m.Stderr, p) }}
	line, err := r.Open(f.files)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	defer line.Close()
	leak := trace.NewLeak()
	if err := leaks(ctx, line, leak); err != nil {
		return err
	}
	rows, err := readLeaked(f.leaked)
	if err != nil {
		return err
	}
	customers, column := rows.customers(leak)
	out := leakLine{Rows: len(rows.cells), Matched: len(customers), Column: column, Sources: []sourceLine{}}
	list, none := leak.Sources(customers, len(rows.cells)-len(customers), trace.Options{Customers: f.customers})
	out.None = serve.SixDigits(none)
	for _, s := range list[:min(len(list), 20)] {
		out.Sources = append(out.Sources, sourceLine{s.Kind, s.ID, s.Staff, serve.SixDigits(s.Posterior), s.Rows, s.Customers})
	}
	if f.asJSON {
		err = printJSON(m.Stdout, out)
	} else {
		err = printLeak(m.Stdout, &out)
	}
	if err != nil {
		return err
	}
	if ofOnePerson(list) >= trace.NamedFrom {
		return ErrFound
	}
	return nil
}

// ofOnePerson is how probable it is that the file is the first source's person's, whichever of his results or his whole view it was.
func ofOnePerson(list []trace.Source) (sum float64) {
	for _, s := range list {
		if s.Staff[0] == list[0].Staff[0] {
			sum += s.Posterior
		}
	}
	return sum
}

// leaks notes what each access showed.
func leaks(ctx context.Context, line *logs.Timeline, leak *trace.Leak) error {
	for n := 1; ; n++ {
		in, err := line.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("trace: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case in.Access != nil && !in.Access.Refused:
			id := in.Access.UID
			if id == "" {
				id = fmt.Sprint("event ", n)
			}
			leak.Add(id, in.Access.Staff, in.Access.Time, in.Access.Subjects)
		}
	}
}

// leaked is the file as it was found: cells, whatever they mean.
type leaked struct {
	cells [][]string
}

// leakedMost bounds what is read of a file: any part of it says as much.
const leakedMost = 1_000_000

// readLeaked reads a table with commas, semicolons or tabs, whichever its first line has most of. What is no row of it is passed over, since a
// file that somebody sold has been through many hands.
func readLeaked(name string) (*leaked, error) {
	file, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("read the leaked file: %w", err)
	}
	defer file.Close()
	buffered := bufio.NewReaderSize(file, 64<<10)
	head, _ := buffered.Peek(64 << 10) // a short file is as good
	first, _, _ := strings.Cut(string(head), "\n")
	table := csv.NewReader(buffered)
	table.FieldsPerRecord, table.LazyQuotes, table.TrimLeadingSpace = -1, true, true
	for _, separator := range ";\t|" {
		if strings.Count(first, string(separator)) > strings.Count(first, string(table.Comma)) {
			table.Comma = separator
		}
	}
	l := &leaked{}
	for len(l.cells) < leakedMost {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if _, broken := errors.AsType[*csv.ParseError](err); broken {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the leaked file %s: %w", name, err)
		}
		l.cells = append(l.cells, row)
	}
	if len(l.cells) == 0 {
		return nil, fmt.Errorf("no rows in %s; expected a table with a column that holds customers' ids", name)
	}
	return l, nil
}

// customers recognises the column that holds customers' ids: the one with most different ones that anybody was ever shown. A first row that
// holds none there names the columns.
func (l *leaked) customers(leak *trace.Leak) (list []sallyport.Subject, column string) {
	found, best := l.known(leak)
	if best < 0 {
		return nil, ""
	}
	column = fmt.Sprint(best + 1)
	if head := l.cells[0]; best < len(head) && leak.Known(head[best]) == "" && !anyDigit(head[best]) {
		column, l.cells = head[best], l.cells[1:]
	}
	once := map[sallyport.Subject]bool{}
	for _, row := range l.cells {
		if best >= len(row) {
			continue
		}
		if c := leak.Known(row[best]); found[best][c] && !once[c] {
			once[c] = true
			list = append(list, c)
		}
	}
	return list, column
}

// known are the customers in each column that anybody was ever shown, and the column with most of them; -1 where there are none.
func (l *leaked) known(leak *trace.Leak) (found map[int]map[sallyport.Subject]bool, best int) {
	found, best = map[int]map[sallyport.Subject]bool{}, -1
	for _, row := range l.cells {
		for i, cell := range row {
			c := leak.Known(cell)
			if c == "" {
				continue
			}
			if found[i] == nil {
				found[i] = map[sallyport.Subject]bool{}
			}
			found[i][c] = true
		}
	}
	for i := range found {
		if best < 0 || len(found[i]) > len(found[best]) || len(found[i]) == len(found[best]) && i < best {
			best = i
		}
	}
	return found, best
}

func anyDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

func printLeak(w io.Writer, l *leakLine) error {
	fmt.Fprintf(w, "%d rows, %d of them about customers whom somebody was shown.\n", l.Rows, l.Matched)
	if len(l.Sources) == 0 {
		fmt.Fprintln(w, "Nothing on record holds any of them.")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "source\tid\tstaff\tprobability\trows\tof customers\t")
	for _, s := range l.Sources[:min(len(l.Sources), 10)] {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.4f\t%d\t%d\t\n", s.Kind, s.ID, staffList(s.Staff), s.Posterior, s.Rows, s.Customers)
	}
	fmt.Fprintf(table, "none of them\t\t\t%.4f\t\t\t\n", l.None)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
