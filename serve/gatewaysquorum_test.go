package serve

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/keys"
)

// TestGatewaysQuorum: where shares open the keys people bring them to the controller: the first that are enough open its own, the next those of the gateways that wait.
// A gateway that begins anew within its process goes on by what it was brought; one that was started anew waits again. No share stands on any disk.
func TestGatewaysQuorum(t *testing.T) {
	t.Parallel()
	s := newCampus(t, "detect: {off: true}\n")
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: s.options.Data, Provider: &keys.KeyFile{Path: s.options.KeyFile, Dir: s.options.Data}}, split)
	fatal(t, err)
	file := s.options.Config.File
	rewrite(t, file, "gateways:\n", "keys: {provider: quorum}\ngateways:\n")
	begin := func() {
		t.Helper()
		reread(t, &s.options)
		s.options.Role = Controller
		s.server, err = Start(t.Context(), s.options)
		fatal(t, err)
	}
	bring := func(who sallyport.Staff, share keys.Share, missing int) {
		t.Helper()
		got, err := s.officer(who).Unseal(t.Context(), share.Text())
		if want := (api.Unsealed{Share: share.Name, Need: 2, Missing: missing}); err != nil || got != want {
			t.Fatalf("%s brings %s: %+v, %v; want %+v", who, share.Name, got, err, want)
		}
	}
	begin()
	bring("o1", split.Shares[0], 1)
	bring("o2", split.Shares[1], 0)
	await(t, "the controller opens its keys", s.server.Ready())
	refused := func() {
		t.Helper()
		if _, err := s.officer("o3").Unseal(t.Context(), split.Shares[2].Text()); err == nil || !strings.Contains(err.Error(), "no gateway is here that waits for one") {
			t.Errorf("a share that nobody needs: %v", err)
		}
	}
	refused()
	ready := map[string]<-chan struct{}{}
	for _, name := range severalNames {
		ready[name] = s.begin(name)
	}
	wait := func(n int) {
		t.Helper()
		within(t, 30*time.Second, "gateways wait for shares", func() bool {
			asking, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return len(s.server.Hub.Sealed(asking)) == n
		})
	}
	wait(2)
	within(t, 20*time.Second, "status says so", func() bool {
		for _, line := range s.server.parts(t.Context()) {
			if line.What == "sealed" && strings.HasPrefix(line.How, "gw") {
				return true
			}
		}
		return false
	})
	bring("o1", split.Shares[2], 1)
	for who, share := range map[sallyport.Staff]keys.Share{"o1": split.Shares[0], "o2": split.Shares[2]} {
		if _, err := s.officer(who).Unseal(t.Context(), share.Text()); err == nil {
			t.Errorf("%s brings %s, and it is taken", who, share.Name)
		}
	}
	bring("o2", split.Shares[0], 0)
	for _, name := range severalNames {
		await(t, name+" opens its keys", ready[name])
		if ok, err := s.reads(name); !ok {
			t.Errorf("%s shows nothing: %v", name, err)
		}
	}
	refused()

	// Another configuration: the gateways begin anew, and nobody has to come for them.
	rewrite(t, file, "detect: {off: true}\n", "detect: {off: true}\nbudgets: {default: {reached: {hour: 4000, day: 4000, month: 4000}}}\n")
	s.approves(t, "config", "propose", "--config", file)
	s.stop()
	begin()
	bring("o2", split.Shares[1], 1)
	bring("o3", split.Shares[2], 0)
	within(t, 30*time.Second, "both gateways begin anew", func() bool { return strings.Count(s.log.String(), "beginning anew") == 2 })
	s.readsAgain(t)

	// A process that was started anew has nothing.
	s.kill("gw1")
	back := s.begin("gw1")
	wait(1)
	bring("o3", split.Shares[0], 1)
	bring("o1", split.Shares[1], 0)
	await(t, "gw1 opens its keys again", back)
	s.stop()
	held := s.log.String()
	for _, name := range append([]string{"localhost"}, severalNames...) {
		if name != "localhost" {
			s.ends(name)
		}
		held += everything(t, filepath.Join(s.folderOf(name), "data"))
	}
	for _, share := range split.Shares {
		if strings.Contains(held, strings.Split(share.Text(), "-")[3]) {
			t.Errorf("the share %s stands in a log or in a data folder", share.Name)
		}
	}
	if _, err := os.Stat(filepath.Join(s.folderOf("gw1"), "data", keys.RingName)); err != nil {
		t.Error(err)
	}
}
