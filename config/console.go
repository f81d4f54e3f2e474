package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/program"
)

// ConsoleConfig is where the pages for staff are: docs/console.md.
type ConsoleConfig struct {
	Listen      string   `yaml:"listen"`      // HOST:PORT, always over TLS. Empty: there are no pages
	Certificate string   `yaml:"certificate"` // PEM, with Key; empty: that of tls
	Key         string   `yaml:"key"`         // of the certificate
	Address     string   `yaml:"address"`     // https://HOST[:PORT] by which browsers know the pages: where the identity provider sends them back to (its redirect address is this and /login/callback). Empty: nobody logs in there by it
	Documents   []string `yaml:"documents"`   // written policies, files of Markdown with numbered paragraphs, that stand beside the policies; empty: examples/access-policy.md, where the program's own policies hold
	Idle        string   `yaml:"idle"`        // a log-in that nobody used for so long is over, such as 15m; empty: 15m, at most 12h
}

// IdleFor is how long somebody may be away.
func (c *ConsoleConfig) IdleFor() (time.Duration, error) {
	if c.Idle == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(c.Idle)
	if err != nil || d < time.Minute || d > 12*time.Hour {
		return 0, fmt.Errorf("%q is no time to be away; expected one such as 15m, from 1m to 12h", c.Idle)
	}
	return d, nil
}

func (c *Config) checkConsole(r *Document) {
	own := &c.Console
	if own.Listen == "" {
		return
	}
	checkAddress(r, "console.listen", own.Listen)
	if (own.Certificate == "") != (own.Key == "") {
		r.problemAt("console.certificate", "expected certificate and key, or neither")
	} else if own.Certificate == "" && c.TLS.Certificate == "" {
		r.problemAt("console.listen", "passwords would cross the network in clear; expected console.certificate and key, or those of tls")
	}
	if u, err := url.Parse(own.Address); own.Address != "" && (err != nil || u.Scheme != "https" || u.Host == "" || strings.TrimSuffix(own.Address, "/") != "https://"+u.Host) {
		r.problemAt("console.address", "no address of pages; expected one such as https://sallyport.example.com")
	}
	if _, err := c.Documents(); err != nil {
		r.problemAt("console.documents", "%v", err)
	}
	if _, err := own.IdleFor(); err != nil {
		r.problemAt("console.idle", "%v", err)
	}
}

// Origin is without the last slash.
func (c *ConsoleConfig) Origin() string { return strings.TrimSuffix(c.Address, "/") }

// FindBy are the columns by which customers are found: e-mail addresses in their own table.
func (c *Config) FindBy() (list []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		if table := name[:strings.LastIndexByte(name, '.')]; table == c.Protect.Customer.Table && c.Protect.Columns[name].Scheme == sallyport.Email {
			list = append(list, name)
		}
	}
	return list
}

// Classes are the classes of the protected columns.
func (c *Config) Classes() map[string]string {
	all := map[string]string{}
	for name, column := range c.Protect.Columns {
		all[name] = string(column.Class)
	}
	return all
}

// Documents are the written policies that the configuration names; where it names none and the program's own policies hold, theirs.
func (c *Config) Documents() ([]*program.Document, error) {
	texts, err := c.DocumentTexts()
	if err != nil {
		return nil, err
	}
	return DocumentsOf(&api.ReportQuestion{Documents: texts})
}
