package apart

import (
	"errors"
	"strings"
	"sync"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
	"google.golang.org/protobuf/proto"
)

// TestKillers parses texts that end the process, or keep it busy for minutes, where they are parsed in it.
func TestKillers(t *testing.T) {
	for name, sql := range map[string]string{
		"sum":    "SELECT 1" + strings.Repeat("+1", 30_000),
		"union":  "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 30_000),
		"longer": "SELECT 1" + strings.Repeat("+1", 400_000),
		"labels": "SELECT 1" + strings.Repeat("-a.case"+strings.Repeat("-1", 1800)+"-a.end", 60) + " FROM a",
	} {
		if _, err := Parse(sql); !errors.Is(err, ErrTooComplex) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	sql := "INSERT INTO a VALUES (1)" + strings.Repeat(", (1)", 20_000)
	want, err := pg.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, err := Parse(sql)
			if err != nil || !proto.Equal(got, want) {
				t.Errorf("another tree: %v", err)
			}
		})
	}
	wg.Wait()
	_, err = Parse("SELEC 1")
	var syntax *parser.Error
	_, wantErr := pg.Parse("SELEC 1")
	if !errors.As(err, &syntax) || syntax.Message != wantErr.Error() || syntax.Cursorpos == 0 {
		t.Errorf("%v", err)
	}
}

// BenchmarkParse shows what the other process costs.
func BenchmarkParse(b *testing.B) {
	sql := "INSERT INTO a VALUES (1, 'x')" + strings.Repeat(", (1, 'x')", 2_000)
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			if _, err := pg.Parse(sql); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("apart", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(sql); err != nil {
				b.Fatal(err)
			}
		}
	})
}
