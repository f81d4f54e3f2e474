package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/keys"
)

// TestUnseal starts a serve whose keys are split: nobody is served until two different people have each brought another share.
func TestUnseal(t *testing.T) {
	f := newFort(t, "")
	agent := f.org.Agents()[0]
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	f.config, err = f.stage.config(f.folder, f.database, "keys: {provider: quorum}\n")
	fatal(t, err)
	f.options.Config = f.config // the key file goes on opening the record

	for round := range 2 { // it is sealed again after a restart
		f.server, err = Start(t.Context(), f.options)
		fatal(t, err)
		sealed := func(in int) {
			t.Helper()
			want := fmt.Sprintf("sallyport: the keys are sealed: %d of 2 shares", in)
			awaitRefusal(t, f, agent.ID, want)
		}
		sealed(0)
		shares := split.Shares[round:]
		unsealed, err := f.officer("o1").Unseal(t.Context(), shares[0].Text())
		if err != nil || unsealed != (api.Unsealed{Share: shares[0].Name, Need: 2, Missing: 1}) {
			t.Fatalf("%+v, %v", unsealed, err)
		}
		for who, c := range map[sallyport.Staff]struct{ share, want string }{
			"o1": {shares[1].Text(), "another person must bring the next"},
			"o2": {shares[0].Text(), "is there already"},
			"o3": {shares[1].Text()[1:], "it is no share"},
		} {
			if _, err := f.officer(who).Unseal(t.Context(), c.share); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", who, err, c.want)
			}
		}
		sealed(1)
		unsealed, err = f.officer("o2").Unseal(t.Context(), shares[1].Text())
		if err != nil || unsealed.Missing != 0 {
			t.Fatalf("%+v, %v", unsealed, err)
		}
		await(t, "serve opens its keys", f.server.Ready())
		if _, err := f.connect(agent.ID).Exec(t.Context(), "SELECT email FROM support.customers LIMIT 1"); err != nil {
			t.Error(err)
		}
		if _, err := f.officer("o3").Unseal(t.Context(), shares[0].Text()); err == nil || !strings.Contains(err.Error(), "there are enough") {
			t.Errorf("a share after the keys were opened: %v", err)
		}
		f.stop()
	}
	held := f.log.String() + everything(t, f.options.Data)
	for _, share := range split.Shares {
		if strings.Contains(held, strings.Split(share.Text(), "-")[3]) {
			t.Errorf("the share %s stands in the log or in the data folder", share.Name)
		}
	}
	expectUnseals(t, f, "unseal by o1: anna; unseal_failed by o1; unseal_failed by o2; unseal_failed by o3; unseal by o2: ben; unseal_failed by o3; "+
		"unseal by o1: ben; unseal_failed by o1; unseal_failed by o2; unseal_failed by o3; unseal by o2: carla; unseal_failed by o3")
}

// awaitRefusal connects until the refusal says why: before the guard has looked it says that serve is starting.
func awaitRefusal(t *testing.T, f *fort, who sallyport.Staff, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := pgx.Connect(t.Context(), f.dsn(who))
		if err == nil {
			conn.Close(t.Context())
			t.Fatal("a sealed serve let somebody in")
		}
		if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == "57P03" && strings.HasPrefix(answer.Message, want) && strings.Contains(answer.Hint, "sallyport keys unseal") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("refused with %v, want %q", err, want)
		}
	}
}

// expectUnseals holds what the control stream says of shares, but for the order in which several people were refused.
func expectUnseals(t *testing.T, f *fort, want string) {
	t.Helper()
	stream := f.openStream(t, "control")
	defer stream.Close()
	var got []string
	fatal(t, stream.Read(1, func(e *sallyport.Event) error {
		switch e.Kind {
		case sallyport.Unsealing:
			got = append(got, fmt.Sprintf("%s by %s: %s", e.Kind, e.Order.By, e.Order.Details))
		case sallyport.UnsealBad:
			got = append(got, fmt.Sprintf("%s by %s", e.Kind, e.Order.By))
		default:
		}
		return nil
	}))
	if len(got) != 12 {
		t.Fatalf("%d entries: %v", len(got), got)
	}
	for _, refused := range [][]string{got[1:4], got[7:10]} {
		slices.Sort(refused)
	}
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("on record:\n%s\nwant\n%s", text, want)
	}
}
