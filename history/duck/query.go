package duck

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"sallyport/history"
)

// Select is history.Store's. The text is parsed by DuckDB itself without being run, and every table and function that it names is held to a
// list; what it reads holds pseudonyms only, whatever might get past that.
func (s *Store) Select(ctx context.Context, text string, b history.Bounds) (*history.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Time)
	defer cancel()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, broken("ask history", err)
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if err := s.permit(ctx, conn, text); err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return nil, broken("ask history", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // it only read
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return nil, s.asked(ctx, b, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err says what went wrong
	answer, err := take(rows, b)
	if err != nil {
		return nil, s.asked(ctx, b, err)
	}
	return answer, nil
}

// asked makes an error of the question one for whoever asked it. DuckDB's own sentences tell of the text and of its bounds.
func (s *Store) asked(ctx context.Context, b history.Bounds, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: it takes longer than %s; ask for fewer days or customers", history.ErrRefused, b.Time)
	}
	e := (*duckdb.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	if whole := broken("ask history", err); errors.Is(whole, history.ErrBroken) && e.Type != duckdb.ErrorTypeCatalog {
		return whole
	}
	if e.Type == duckdb.ErrorTypeOutOfMemory {
		return fmt.Errorf("%w: it takes more memory than history has; ask for fewer days or customers", history.ErrRefused)
	}
	return fmt.Errorf("%w: %s", history.ErrRefused, e.Msg)
}

// longestQuestion bounds the text.
const longestQuestion = 16 << 10

// permit holds a text to one SELECT over the documented views.
func (s *Store) permit(ctx context.Context, conn *sql.Conn, text string) error {
	if len(text) > longestQuestion {
		return fmt.Errorf("%w: it has %d bytes, at most %d may be", history.ErrRefused, len(text), longestQuestion)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: it is no text", history.ErrRefused)
	}
	var tree string
	if err := conn.QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", text).Scan(&tree); err != nil {
		return broken("read the question", err)
	}
	var parsed struct {
		Error   bool   `json:"error"`
		Type    string `json:"error_type"`
		Message string `json:"error_message"`

		Statements []any `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return fmt.Errorf("%w: it cannot be read", history.ErrRefused)
	}
	switch {
	case parsed.Error:
		return fmt.Errorf("%w: %s", history.ErrRefused, parsed.Message)
	case len(parsed.Statements) != 1:
		return fmt.Errorf("%w: it holds %d statements, expected one", history.ErrRefused, len(parsed.Statements))
	}
	w := &walk{ctes: map[string]bool{}}
	w.names(parsed.Statements)
	for name := range w.ctes {
		if s.taken(ctx, conn, name) {
			return fmt.Errorf("%w: %q in WITH is the name of a table; choose another one", history.ErrRefused, name)
		}
	}
	w.check(parsed.Statements)
	return w.err
}

// taken says whether a name in WITH could be meant for something that is there: outside of where it holds it would be.
func (s *Store) taken(ctx context.Context, conn *sql.Conn, name string) bool {
	var n int
	err := conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM duckdb_tables() WHERE lower(table_name) = lower(?1)) + (SELECT count(*) FROM duckdb_views() WHERE lower(view_name) = lower(?1))`, name).Scan(&n)
	return err != nil || n > 0 || strings.ContainsAny(name, "./\\:*")
}

// walk looks at each node of a parsed question.
type walk struct {
	ctes map[string]bool
	err  error
}

// names gathers what WITH names.
func (w *walk) names(node any) {
	switch n := node.(type) {
	case []any:
		for _, one := range n {
			w.names(one)
		}
	case map[string]any:
		if ctes, ok := n["cte_map"].(map[string]any); ok {
			if list, ok := ctes["map"].([]any); ok {
				for _, one := range list {
					if entry, ok := one.(map[string]any); ok {
						name, _ := entry["key"].(string)
						w.ctes[strings.ToLower(name)] = true
					}
				}
			}
		}
		for _, one := range n {
			w.names(one)
		}
	}
}

// tableFunctions may stand in FROM.
func tableFunctions() []string { return []string{"range", "generate_series", "unnest"} }

// forbidden functions tell about the machine, change something, or make much out of nothing.
func forbidden() []string {
	return []string{
		"getenv", "current_setting", "getvariable", "nextval", "currval", "setseed", "query", "query_table", "write_log", "txid_current", "current_query", "version",
		"repeat", "lpad", "rpad", "list_resize", "array_resize", "bar", "printf", "format", "json_execute_serialized_sql", "json_serialize_plan", "pg_sleep", "sleep", "parse_duckdb_log_message",
		"from_json", "file_exists", "add_parquet_key", "bitstring", "list_repeat", "range", "generate_series",
	}
}

func (w *walk) refuse(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: "+format, append([]any{history.ErrRefused}, args...)...)
	}
}

func (w *walk) check(node any) {
	switch n := node.(type) {
	case []any:
		for _, one := range n {
			w.check(one)
		}
	case map[string]any:
		w.checkNode(n)
		inTable := n["type"] == "TABLE_FUNCTION"
		for key, one := range n {
			if inTable && key == "function" {
				w.checkTableFunction(one)
				continue
			}
			w.check(one)
		}
	}
}

func (w *walk) checkNode(n map[string]any) {
	kind, _ := n["type"].(string)
	switch kind {
	case "BASE_TABLE":
		name, _ := n["table_name"].(string)
		schema, _ := n["schema_name"].(string)
		catalog, _ := n["catalog_name"].(string)
		if lower := strings.ToLower(name); schema != "" || catalog != "" || !slices.Contains(documented(), lower) && !w.ctes[lower] {
			w.refuse("there is no %q to be asked; there are %s", strings.Trim(catalog+"."+schema+"."+name, "."), strings.Join(documented(), ", "))
		}
	case "SHOW_REF":
		w.refuse("DESCRIBE, SHOW and SUMMARIZE are none; docs/history.md has the columns")
	}
	if n["class"] == "FUNCTION" {
		name, _ := n["function_name"].(string)
		schema, _ := n["schema"].(string)
		if name = strings.ToLower(name); slices.Contains(forbidden(), name) || strings.HasPrefix(name, "duckdb_") || strings.HasPrefix(name, "pragma_") || strings.HasPrefix(name, "read_") || schema != "" && schema != "main" {
			w.refuse("the function %q may not be used", name)
		}
	}
	if n["class"] == "PARAMETER" {
		w.refuse("it has parameters, and nobody gives them")
	}
}

func (w *walk) checkTableFunction(node any) {
	n, _ := node.(map[string]any)
	name, _ := n["function_name"].(string)
	if !slices.Contains(tableFunctions(), strings.ToLower(name)) {
		w.refuse("the function %q may not stand in FROM", name)
	}
	for key, one := range n {
		if key != "function_name" {
			w.check(one)
		}
	}
}

// take reads as many rows as the bounds allow.
func take(rows *sql.Rows, b history.Bounds) (*history.Rows, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	answer := &history.Rows{Columns: columns, Rows: [][]any{}}
	size := 0
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			values[i] = plain(v)
			size += 8
			if text, ok := values[i].(string); ok {
				size += len(text)
			}
		}
		if len(answer.Rows) == b.Rows || size > b.Bytes {
			answer.Truncated = true
			break
		}
		answer.Rows = append(answer.Rows, values)
	}
	return answer, rows.Err()
}

// plain is a value as JSON and people can have it.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int64, float64:
		return v
	case float32:
		return float64(v)
	case int8, int16, int32, uint8, uint16, uint32:
		return reflect.ValueOf(v).Convert(reflect.TypeFor[int64]()).Int()
	case uint64:
		if v > math.MaxInt64 {
			return strconv.FormatUint(v, 10)
		}
		return int64(v)
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339Nano)
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return v.String()
	case []byte:
		return fmt.Sprintf("%x", v)
	default:
		return fmt.Sprint(v)
	}
}
