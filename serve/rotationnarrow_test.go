package serve

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/keys"
	"sallyport/token"
)

// TestRotateNarrowKilled kills serve at random moments (kill -9) while the keys of unique integers are rotated that stand in each other's way, and an application puts others there.
// After each kill every row holds its value in the form that the database says of it. SALLYPORT_SIEGE kills fifty times.
func TestRotateNarrowKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 4
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		kills = 50
	}
	f := newPlainFort(t, narrows)
	f.stop()
	f.edit("people:\n", fmt.Sprintf("keys: {rate: %d}\npeople:\n", narrowRows/kills))
	f.options.MovingIn = false
	renewOften(&f.options)
	fatal(t, f.protect())
	f.start()
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "narrow"))
	codec := f.chainTurning(t)
	f.stop() // perhaps in the middle of it
	kept, err := f.keptNarrows()
	fatal(t, err)
	p := &processes{f: f, address: freeAddress(t), name: filepath.Join(t.TempDir(), "sallyport")}
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, p.name))
	w := &narrowWriter{p: p, codec: codec, kept: kept}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.work(ctx) })
	middle, turned := 0, 0
	for range kills {
		p.startServe()
		start := time.Now()
		awaitCondition(t, "rows turn", func() bool {
			return f.turnedNarrows(t) > turned || f.turnedNarrows(t) < 0 || time.Since(start) > 20*time.Second
		})
		select {
		case <-time.After(time.Duration(mathrand.IntN(400)) * time.Millisecond): // the random moment
		case <-t.Context().Done():
		}
		p.kill()
		if turned = f.turnedNarrows(t); turned >= 0 {
			middle++
		}
		f.checkTurningNarrows(t, codec, kept)
	}
	f.start()
	f.awaitTurned(t, "narrow")
	stop()
	wg.Wait()
	f.checkTurningNarrows(t, codec, kept)
	t.Logf("%d kills, %d of them in the middle; %d rows written, %d of them where another stood, %d written anew, %d given another key, %d refused", kills, middle, w.written, min(w.written, narrowChained/2), w.anew, w.rekeyed, w.denied)
	if middle == 0 || w.written == 0 || w.anew == 0 || w.rekeyed == 0 {
		t.Error("no kill came in the middle, or nobody met a column whose keys were rotated: this test proves little")
	}
	if w.denied > 0 {
		t.Errorf("%d writes were refused", w.denied)
	}
	for _, problem := range w.problems {
		t.Error(problem)
	}
	if turned = f.turnedNarrows(t); turned >= 0 {
		t.Errorf("the rotation is not done: %d rows", turned)
	}
}

// chainTurning begins the rotation, and before a row turns has every other row stand in the way of the one two before it, five at a time, forwards and backwards.
func (f *fort) chainTurning(t *testing.T) *token.Codec {
	t.Helper()
	admin := f.direct()
	for _, sql := range []string{"SET session_replication_role = replica", "BEGIN", "LOCK TABLE support.narrow IN EXCLUSIVE MODE"} {
		if _, err := admin.Exec(f.ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "narrow", "yearly") })
	within(t, 2*time.Minute, "there is the newer key", func() bool {
		status, err := keys.Look(f.options.Data)
		fatal(t, err)
		return slices.ContainsFunc(status.Keys, func(k keys.KeyStatus) bool { return k.Group == "narrow" && k.Epoch == 2 })
	})
	codec := f.narrowCodec(t)
	for start := 0; start < narrowChained; start += 10 {
		value := fmt.Sprint(50_000_000 + start)
		for i := range 5 {
			id := start + 2*i + 1
			if start%20 > 0 {
				id = start + 9 - 2*i
			}
			older, err := codec.TokenEpoch(nil, []byte(value), 1)
			fatal(t, err)
			for table, text := range map[string]string{"support.narrow SET number = $1::text::int": string(older), "kept.narrow SET number = $1::text": value} {
				if _, err := admin.Exec(f.ctx, "UPDATE "+table+" WHERE id = $2", text, id); err != nil {
					t.Fatal(err)
				}
			}
			newer, err := codec.TokenEpoch(nil, []byte(value), 2)
			fatal(t, err)
			behind, err := codec.RevealEpoch(nil, newer, 1)
			fatal(t, err)
			value = string(behind)
		}
	}
	_, err := admin.Exec(f.ctx, "COMMIT")
	fatal(t, errors.Join(err, admin.Close(f.ctx)))
	return codec
}

// turnedNarrows is how many rows are behind the rotation's border; below 0: all are of the newer key.
func (f *fort) turnedNarrows(t *testing.T) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(f.askOf(f.database, "SELECT coalesce((SELECT CASE WHEN done THEN -1 ELSE rows END FROM sallyport.turning WHERE join_group = 'narrow' AND epoch = 2), 0)::text"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// onTheWay is the value of the n-th row that the application adds: its newer token is the older one of a row that was there.
func onTheWay(codec *token.Codec, kept map[int64]string, n int64) (string, error) {
	if n >= narrowChained/2 {
		return fmt.Sprint(-5_000_000 - n), nil
	}
	older, err := codec.TokenEpoch(nil, []byte(kept[2*n+2]), 1)
	if err != nil {
		return "", err
	}
	plain, err := codec.RevealEpoch(nil, older, 2)
	return string(plain), err
}

// checkTurningNarrows holds each row to its value, in the form that the database says of it.
func (f *fort) checkTurningNarrows(t *testing.T, codec *token.Codec, kept map[int64]string) {
	t.Helper()
	conn := f.direct()
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	const note = "EXISTS (SELECT FROM sallyport.turning_written w WHERE w.name = 'support.narrow.number' AND w.key = '[' || s.id || ']' AND w.epoch = %s)"
	rows, err := conn.Query(f.ctx, fmt.Sprintf("SELECT abs(s.id), s.number::text, coalesce(g.done OR s.id <= g.after[1]::bigint AND NOT "+note+" OR "+note+", false) FROM support.narrow s LEFT JOIN sallyport.turning g ON g.join_group = 'narrow' AND g.epoch = 2", "-2", "2"))
	fatal(t, err)
	var id int64
	var stored string
	var newer bool
	old, wrong := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&id, &stored, &newer}, func() error {
		want, err := kept[id], error(nil)
		if id >= narrowWritten {
			want, err = onTheWay(codec, kept, id-narrowWritten)
		} else {
			old++
		}
		epoch := 1
		if newer {
			epoch = 2
		}
		plain, err2 := codec.RevealEpoch(nil, []byte(stored), epoch)
		if string(plain) != want {
			if wrong++; wrong < 5 {
				t.Errorf("row %d of narrow, newer %v, is %s, want %s", id, newer, plain, want)
			}
		}
		return errors.Join(err, err2)
	})
	if err != nil || old != narrowRows || wrong > 0 {
		t.Errorf("%d rows of narrow, %d wrong, %v", old, wrong, err)
	}
}

// narrowWriter is an application that connects again whenever its connection breaks.
type narrowWriter struct {
	p                              *processes
	codec                          *token.Codec
	kept                           map[int64]string
	written, anew, rekeyed, denied int
	problems                       []string
}

func (w *narrowWriter) work(ctx context.Context) {
	for n := int64(0); ctx.Err() == nil; {
		conn, err := w.p.connect(context.WithoutCancel(ctx))
		if err != nil {
			time.Sleep(20 * time.Millisecond) // between two attempts to connect
			continue
		}
		for ; ctx.Err() == nil; n++ {
			value, err := onTheWay(w.codec, w.kept, n)
			if err != nil {
				w.problems = append(w.problems, err.Error())
			}
			old, free := 1+n*31%narrowRows, narrowChained+1+n*31%(narrowRows-narrowChained)
			w.write(ctx, conn, &w.written, "", "INSERT INTO support.narrow (id, number) VALUES ($1, $2)", narrowWritten+n, value)
			w.write(ctx, conn, &w.anew, "", "UPDATE support.narrow SET number = $2 WHERE id = $1", free, w.kept[free])
			w.write(ctx, conn, &w.rekeyed, "", "UPDATE support.narrow SET id = -id WHERE abs(id) = $1", old)
			w.write(ctx, conn, new(int), "23505", "INSERT INTO support.narrow (id, number) VALUES ($1, $2)", 3*narrowWritten+n, w.kept[old])
			if conn.IsClosed() {
				n++
				break
			}
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}
}

// write writes, and wants it refused with a code, where there is one.
func (w *narrowWriter) write(ctx context.Context, conn *pgx.Conn, done *int, want, sql string, args ...any) {
	_, err := conn.Exec(ctx, sql, args...)
	refused, known := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil && want == "":
		*done++
	case err == nil:
		w.problems = append(w.problems, fmt.Sprintf("%s: done, want %s", sql, want))
	case known && refused.Code == "55006":
		w.denied++
	case known && refused.Code != want && refused.Severity != "FATAL" && !strings.HasPrefix(refused.Code, "57") && refused.Code != "55P03":
		w.problems = append(w.problems, fmt.Sprintf("the application met %v", err))
	}
}
