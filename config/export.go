package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/export"
)

// ExportOutput is one place to which serve writes the record for other systems. It has exactly one of file, syslog and webhook.
type ExportOutput struct {
	Name    string        `yaml:"name"`    // small letters, digits and '-': names its cursor, its dead letters and its metrics
	Format  string        `yaml:"format"`  // ocsf, cef or ecs; empty: ocsf
	Streams []string      `yaml:"streams"` // access, control; empty: both
	People  string        `yaml:"people"`  // pseudonyms, as who-saw shows them, or names: for receivers that nobody browses, or who two people agreed may see everybody. Empty: pseudonyms
	Begin   string        `yaml:"begin"`   // where an output begins that is new: start of the record, or now; empty: start
	File    ExportFile    `yaml:"file"`    // lines of a file
	Syslog  ExportSyslog  `yaml:"syslog"`  // RFC 5424 over TLS
	Webhook ExportWebhook `yaml:"webhook"` // signed requests with a message a line
}

// ExportFile is a file that is rotated and compressed.
type ExportFile struct {
	Path   string `yaml:"path"`   // the file; its folder is made
	Rotate int    `yaml:"rotate"` // MiB from which on the next one is begun; 0: 100
	Keep   int    `yaml:"keep"`   // rotated files that stay, older ones are removed; 0: all
}

// ExportSyslog is a receiver of RFC 5425.
type ExportSyslog struct {
	Address     string `yaml:"address"`     // HOST:PORT, usually 6514
	CA          string `yaml:"ca"`          // PEM of who signs the receiver's certificate; empty: the system's authorities
	ServerName  string `yaml:"server_name"` // that stands in it; empty: the host of the address
	Certificate string `yaml:"certificate"` // shown to the receiver; empty: none
	Key         string `yaml:"key"`         // of that certificate
	Confirm     string `yaml:"confirm"`     // close: a batch counts when the receiver has ended its side in order; none: when the kernel took it. Empty: close
}

// ExportWebhook is a receiver over HTTP.
type ExportWebhook struct {
	URL               string `yaml:"url"`                // https://…; http only on this machine
	CA                string `yaml:"ca"`                 // PEM of who signs its certificate; empty: the system's authorities
	SecretFile        string `yaml:"secret_file"`        // one line, mode 0600: the key of the signature (HMAC-SHA-256); empty: none is made
	AuthorizationFile string `yaml:"authorization_file"` // one line, mode 0600: the header Authorization, such as Splunk TOKEN or ApiKey KEY
	Refusals          int    `yaml:"refusals"`           // how often the receiver must refuse a message (4xx) until it is put with the dead letters; 0: 5
	GiveUp            string `yaml:"give_up"`            // how long a receiver that does not answer is tried, such as 24h, until what waits is put there; empty: for ever
}

// MetricsConfig is where Prometheus reads counts.
type MetricsConfig struct {
	Listen string `yaml:"listen"` // HOST:PORT of this machine (loopback), path /metrics; empty: nowhere
}

// checkExport holds outputs and metrics to sense.
func (c *Config) checkExport(r *Document) {
	names := map[string]bool{}
	for i := range c.Export {
		o, at := &c.Export[i], fmt.Sprintf("export[%d]", i)
		if o.Name == "" || len(o.Name) > 40 || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			r.problemAt(at+".name", "%q is no name of an output; expected small letters, digits and '-'", o.Name)
		}
		if names[o.Name] {
			r.problemAt(at+".name", "%q stands twice; expected a name of its own for each output", o.Name)
		}
		names[o.Name] = true
		if o.Format != "" && !slices.Contains(export.Formats(), o.Format) {
			r.problemAt(at+".format", "there is no format %q; expected %s", o.Format, OneOf(o.Format, export.Formats()))
		}
		checkStreams(r, o, at)
		if o.People != "" && o.People != "pseudonyms" && o.People != PeopleNamed {
			r.problemAt(at+".people", "%q; expected pseudonyms or names", o.People)
		}
		if o.Begin != "" && o.Begin != "start" && o.Begin != "now" {
			r.problemAt(at+".begin", "%q; expected start or now", o.Begin)
		}
		c.checkReceiver(r, o, at)
	}
	if l := c.Metrics.Listen; l != "" && (!loopback(l) || strings.HasPrefix(l, "unix:")) {
		r.problemAt("metrics.listen", "%s can be reached from other machines; expected an address such as 127.0.0.1:9464, behind a proxy where Prometheus stands elsewhere", l)
	}
}

func checkStreams(r *Document, o *ExportOutput, at string) {
	for j, stream := range o.Streams {
		if stream != StreamAccess && stream != StreamControl {
			r.problemAt(fmt.Sprintf("%s.streams[%d]", at, j), "there is no stream %q; expected access or control", stream)
		}
	}
}

func (c *Config) checkReceiver(r *Document, o *ExportOutput, at string) {
	given := 0
	for _, is := range []bool{o.File != ExportFile{}, o.Syslog != ExportSyslog{}, o.Webhook != ExportWebhook{}} {
		if is {
			given++
		}
	}
	if given != 1 {
		r.problemAt(at, "%d receivers; expected exactly one of file, syslog and webhook", given)
		return
	}
	switch {
	case o.File != ExportFile{}:
		if o.File.Path == "" {
			r.problemAt(at+".file", "no path; expected the file to write")
		}
		if o.File.Rotate < 0 || o.File.Keep < 0 {
			r.problemAt(at+".file", "a negative number; expected rotate and keep of 0 or more")
		}
	case o.Syslog != ExportSyslog{}:
		s := &o.Syslog
		if host, port, err := net.SplitHostPort(s.Address); err != nil || host == "" || port == "" {
			r.problemAt(at+".syslog.address", "%q is no address; expected HOST:PORT", s.Address)
		}
		if (s.Certificate == "") != (s.Key == "") {
			r.problemAt(at+".syslog", "one of certificate and key; expected both or neither")
		}
		if s.Confirm != "" && s.Confirm != "close" && s.Confirm != "none" {
			r.problemAt(at+".syslog.confirm", "%q; expected close or none", s.Confirm)
		}
	default:
		checkWebhookOutput(r, &o.Webhook, at+".webhook")
	}
}

func checkWebhookOutput(r *Document, w *ExportWebhook, at string) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		r.problemAt(at+".url", "no address that can be used; expected https://HOST/PATH")
	case u.User != nil:
		r.problemAt(at+".url", "a password in the address; expected none: authorization_file holds what is sent as Authorization")
	case u.Scheme == "http" && !loopback(u.Host) && !loopback(u.Host+":80"):
		r.problemAt(at+".url", "http to another machine; expected https")
	}
	if w.SecretFile == "" && w.AuthorizationFile == "" {
		r.problemAt(at, "neither secret_file nor authorization_file: the receiver cannot know who sends it; expected one of them")
	}
	if w.Refusals < 0 {
		r.problemAt(at+".refusals", "%d; expected 1 or more, or 0 for the default", w.Refusals)
	}
	if _, err := GiveUp(w.GiveUp); err != nil {
		r.problemAt(at+".give_up", "%q is no length of time; expected one such as 24h", w.GiveUp)
	}
}

// GiveUp reads how long a receiver is tried; 0 is for ever.
func GiveUp(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("read give_up: %s is not above 0", text)
	}
	return d, err
}

// The streams of a record, by their folders.
const (
	StreamAccess  = "access"
	StreamControl = "control"
)

// PeopleNamed is what an output says in whose messages people stand by name.
const PeopleNamed = "names"

// OutputTLS is how an output speaks TLS: whom it trusts, and who it is itself.
func (c *Config) OutputTLS(ca, name, certificate, key string) (*tls.Config, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	var err error
	if ca != "" {
		if trust.RootCAs, err = ReadRoots(c.Path(ca)); err != nil {
			return nil, fmt.Errorf("read the authority of a receiver: %w", err)
		}
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Path(certificate), c.Path(key))
		if err != nil {
			return nil, fmt.Errorf("read the certificate for a receiver: %w", err)
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	return trust, nil
}
