package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/internal/upstream"
)

func TestParseUpstream(t *testing.T) {
	for text, want := range map[string]config.Place{
		"postgres://db.example:5433":                                     {Network: "tcp", Address: "db.example:5433"},
		"postgres://db.example":                                          {Network: "tcp", Address: "db.example:5432"},
		"postgresql://[::1]:5433/":                                       {Network: "tcp", Address: "[::1]:5433"},
		"db.example:5433":                                                {Network: "tcp", Address: "db.example:5433"},
		"db.example":                                                     {Network: "tcp", Address: "db.example:5432"},
		"/var/run/postgresql":                                            {Network: "unix", Address: "/var/run/postgresql/.s.PGSQL.5432"},
		"unix:/var/run/postgresql":                                       {Network: "unix", Address: "/var/run/postgresql/.s.PGSQL.5432"},
		"unix:/run/pg/.s.PGSQL.6000":                                     {Network: "unix", Address: "/run/pg/.s.PGSQL.6000"},
		"postgres:///?host=/var/run/postgresql&port=6000":                {Network: "unix", Address: "/var/run/postgresql/.s.PGSQL.6000"},
		"postgres://db:1?sslmode=verify-full&sslrootcert=ca.pem":         {Network: "tcp", Address: "db:1", TLS: config.UpstreamTLS{Mode: "verify-full", CA: "ca.pem"}},
		"postgres://db:1?sslrootcert=system":                             {Network: "tcp", Address: "db:1", TLS: config.UpstreamTLS{Mode: "verify-full"}},
		"postgres://db:1?sslmode=require&sslcert=a.crt&sslkey=a.key":     {Network: "tcp", Address: "db:1", TLS: config.UpstreamTLS{Mode: "require", Certificate: "a.crt", Key: "a.key"}},
		"postgres://db.example?hostaddr=192.0.2.1&sslmode=verify-full":   {Network: "tcp", Address: "192.0.2.1:5432", TLS: config.UpstreamTLS{Mode: "verify-full", ServerName: "db.example"}},
		"postgres://?host=db.example&port=7&sslmode=disable":             {Network: "tcp", Address: "db.example:7", TLS: config.UpstreamTLS{Mode: "disable"}},
		"postgres://a.example?sslmode=verify-full&host=b.example&port=2": {Network: "tcp", Address: "b.example:2", TLS: config.UpstreamTLS{Mode: "verify-full"}},
	} {
		if got, err := parseUpstream(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"postgres://ada@db":                                "user or a database",
		"postgres://db/support":                            "user or a database",
		"mysql://db":                                       "cannot be read",
		"postgres://db?sslmode=allow":                      "expected one of disable",
		"postgres://db?sslmode=require&application_name=":  `"application_name"`,
		"postgres://db?sslmode=require&sslrootcert=system": "expected sslmode=verify-full",
		"postgres://":                                      "without host or port",
		"postgres://db:99999":                              "without host or port",
		"unix:relative":                                    "absolute path",
	} {
		if _, err := parseUpstream(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestUpstreamMode says which way is taken where none is configured, and what is refused while columns are protected.
func TestUpstreamMode(t *testing.T) {
	protecting, err := config.Load("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	protecting.Upstream.TLS = config.UpstreamTLS{}
	for _, tt := range []struct {
		config *config.Config
		to     string
		want   upstream.Mode // empty: refused
	}{
		{&config.Config{}, "postgres://127.0.0.1", upstream.Mirror},
		{&config.Config{}, "postgres://db.example", upstream.Mirror},
		{&config.Config{}, "postgres://db.example?sslmode=disable", upstream.Disable},
		{&config.Config{}, "unix:/run/pg", upstream.Disable},
		{protecting, "postgres://localhost", upstream.Mirror},
		{protecting, "postgres://[::1]", upstream.Mirror},
		{protecting, "unix:/run/pg", upstream.Disable},
		{protecting, "postgres://db.example", upstream.VerifyFull},
		{protecting, "postgres://db.example?sslmode=verify-ca", upstream.VerifyCA},
		{protecting, "postgres://db.example?sslmode=require", ""},
		{protecting, "postgres://db.example?sslmode=prefer", ""},
		{protecting, "postgres://db.example?sslmode=disable", ""},
		{protecting, "postgres://127.0.0.1?sslmode=disable", upstream.Disable},
	} {
		at, err := parseUpstream(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		s, err := tt.config.Server(at)
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), "no loopback address") {
				t.Errorf("%s: %v", tt.to, err)
			}
			continue
		}
		if err != nil || s.Mode != tt.want {
			t.Errorf("%s: %+v %v", tt.to, s, err)
		}
	}
}

// TestUpstreamModeChecked has `check` say the same, where the mode stands.
func TestUpstreamModeChecked(t *testing.T) {
	text, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	far := strings.Replace(string(text), "address: 127.0.0.1:5432", "address: db.example:5432", 1)
	for mode, want := range map[string]string{"mirror": "expected verify-full or verify-ca", "require": "expected verify-full or verify-ca", "verify-full": ""} {
		_, err := config.Parse("x.yaml", []byte(strings.Replace(far, "mode: mirror", "mode: "+mode, 1)))
		if (err == nil) != (want == "") || err != nil && !(strings.Contains(err.Error(), want) && strings.Contains(err.Error(), "db.example:5432 is no loopback address")) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestOwnerDSN takes the owner the configured way.
func TestOwnerDSN(t *testing.T) {
	folder := t.TempDir()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair{a.PEM, ""}.files(t, folder, "ca")
	c := &config.Config{File: filepath.Join(folder, "sallyport.yaml"), Upstream: config.Upstream{Address: "db.example:5433", Database: "support", TLS: config.UpstreamTLS{Mode: "verify-full", CA: "ca.crt"}}}
	settings, err := pgx.ParseConfig(c.OwnerDSN(""))
	if err != nil || settings.Host != "db.example" || settings.Port != 5433 || settings.Database != "support" || settings.TLSConfig == nil || settings.TLSConfig.RootCAs == nil || len(settings.Fallbacks) != 0 {
		t.Errorf("%v %v", settings, err)
	}
	c.Upstream = config.Upstream{Address: "unix:/run/pg", Database: "support"}
	if settings, err = pgx.ParseConfig(c.OwnerDSN("")); err != nil || settings.Host != "/run/pg" || settings.Port != 5432 {
		t.Errorf("%v %v", settings, err)
	}
	if got := c.OwnerDSN("postgres://x"); got != "postgres://x" {
		t.Error(got)
	}
}
