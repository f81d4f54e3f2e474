package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/upstream"
)

func TestParseUpstream(t *testing.T) {
	for text, want := range map[string]place{
		"postgres://db.example:5433":                                     {network: "tcp", address: "db.example:5433"},
		"postgres://db.example":                                          {network: "tcp", address: "db.example:5432"},
		"postgresql://[::1]:5433/":                                       {network: "tcp", address: "[::1]:5433"},
		"db.example:5433":                                                {network: "tcp", address: "db.example:5433"},
		"db.example":                                                     {network: "tcp", address: "db.example:5432"},
		"/var/run/postgresql":                                            {network: "unix", address: "/var/run/postgresql/.s.PGSQL.5432"},
		"unix:/var/run/postgresql":                                       {network: "unix", address: "/var/run/postgresql/.s.PGSQL.5432"},
		"unix:/run/pg/.s.PGSQL.6000":                                     {network: "unix", address: "/run/pg/.s.PGSQL.6000"},
		"postgres:///?host=/var/run/postgresql&port=6000":                {network: "unix", address: "/var/run/postgresql/.s.PGSQL.6000"},
		"postgres://db:1?sslmode=verify-full&sslrootcert=ca.pem":         {network: "tcp", address: "db:1", tls: UpstreamTLS{Mode: "verify-full", CA: "ca.pem"}},
		"postgres://db:1?sslrootcert=system":                             {network: "tcp", address: "db:1", tls: UpstreamTLS{Mode: "verify-full"}},
		"postgres://db:1?sslmode=require&sslcert=a.crt&sslkey=a.key":     {network: "tcp", address: "db:1", tls: UpstreamTLS{Mode: "require", Certificate: "a.crt", Key: "a.key"}},
		"postgres://db.example?hostaddr=192.0.2.1&sslmode=verify-full":   {network: "tcp", address: "192.0.2.1:5432", tls: UpstreamTLS{Mode: "verify-full", ServerName: "db.example"}},
		"postgres://?host=db.example&port=7&sslmode=disable":             {network: "tcp", address: "db.example:7", tls: UpstreamTLS{Mode: "disable"}},
		"postgres://a.example?sslmode=verify-full&host=b.example&port=2": {network: "tcp", address: "b.example:2", tls: UpstreamTLS{Mode: "verify-full"}},
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
	protecting, err := LoadConfig("../../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	protecting.Upstream.TLS = UpstreamTLS{}
	for _, tt := range []struct {
		config *Config
		to     string
		want   upstream.Mode // empty: refused
	}{
		{&Config{}, "postgres://127.0.0.1", upstream.Mirror},
		{&Config{}, "postgres://db.example", upstream.Mirror},
		{&Config{}, "postgres://db.example?sslmode=disable", upstream.Disable},
		{&Config{}, "unix:/run/pg", upstream.Disable},
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
		s, err := tt.config.server(at)
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
	text, err := os.ReadFile("../../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	far := strings.Replace(string(text), "address: 127.0.0.1:5432", "address: db.example:5432", 1)
	for mode, want := range map[string]string{"mirror": "expected verify-full or verify-ca", "require": "expected verify-full or verify-ca", "verify-full": ""} {
		_, err := ParseConfig("x.yaml", []byte(strings.Replace(far, "mode: mirror", "mode: "+mode, 1)))
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
	c := &Config{file: filepath.Join(folder, "sallyport.yaml"), Upstream: Upstream{Address: "db.example:5433", Database: "support", TLS: UpstreamTLS{Mode: "verify-full", CA: "ca.crt"}}}
	config, err := pgx.ParseConfig(c.ownerDSN(""))
	if err != nil || config.Host != "db.example" || config.Port != 5433 || config.Database != "support" || config.TLSConfig == nil || config.TLSConfig.RootCAs == nil || len(config.Fallbacks) != 0 {
		t.Errorf("%v %v", config, err)
	}
	c.Upstream = Upstream{Address: "unix:/run/pg", Database: "support"}
	if config, err = pgx.ParseConfig(c.ownerDSN("")); err != nil || config.Host != "/run/pg" || config.Port != 5432 {
		t.Errorf("%v %v", config, err)
	}
	if got := c.ownerDSN("postgres://x"); got != "postgres://x" {
		t.Error(got)
	}
}
