package config

import (
	"net"
	"net/url"
	"strings"
)

// CustomersConfig is where the pages for customers are, on a listener of their own: docs/customers.md.
type CustomersConfig struct {
	Listen      string   `yaml:"listen"`      // HOST:PORT, always over TLS, which customers reach themselves. Empty: there are no pages, and no calls are scheduled
	Certificate string   `yaml:"certificate"` // PEM, with Key
	Key         string   `yaml:"key"`         // of the certificate
	Company     string   `yaml:"company"`     // as customers know it
	Phones      []string `yaml:"phones"`      // the company's real numbers, +49 30 1234567
	Mails       []string `yaml:"mails"`       // and addresses
	Domains     []string `yaml:"domains"`     // that its mails and pages end in
	Address     string   `yaml:"address"`     // https://HOST[:PORT] by which customers know the pages, for links; empty: that of listen
	// Outbox is told whom to write to, at contact details on file, who has typed a telephone number or a ticket number. Without it nobody is.
	Outbox CustomerOutbox `yaml:"outbox"`
	Texts  string         `yaml:"texts"` // folder of LANGUAGE.json: other languages, or other words; what a file lacks is as the program has it. Empty: English and German
}

// CustomerOutbox is another system that writes to customers at their contact details on file.
type CustomerOutbox struct {
	URL        string `yaml:"url"`         // https://…; http only on this machine; empty: nobody is written to
	SecretFile string `yaml:"secret_file"` // one line, mode 0600: the key of the signature (HMAC-SHA-256)
}

// check holds it to sense.
func (o *CustomerOutbox) check(r *Document) {
	if o.URL == "" {
		return
	}
	at, err := url.Parse(o.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil:
		r.problemAt("customers.outbox.url", "no address that can be used; expected https://HOST/PATH, without a password")
	case at.Scheme == "http" && !loopback(at.Host) && !loopback(at.Host+":80"):
		r.problemAt("customers.outbox.url", "http to another machine; expected https")
	}
	if o.SecretFile == "" {
		r.problemAt("customers.outbox", "no secret_file; expected the file with the key of the signature")
	}
}

func (c *Config) checkCustomers(r *Document) {
	own := &c.Customers
	if own.Listen == "" {
		return
	}
	checkAddress(r, "customers.listen", own.Listen)
	own.Outbox.check(r)
	if u, err := url.Parse(own.Address); own.Address != "" && (err != nil || u.Scheme != "https" || u.Host == "" || strings.TrimSuffix(own.Address, "/") != "https://"+u.Host) {
		r.problemAt("customers.address", "no address of pages; expected one such as https://check.example.com")
	}
	if own.Certificate == "" || own.Key == "" {
		r.problemAt("customers.certificate", "browsers of customers come over TLS; expected certificate and key")
	}
	if own.Company == "" || len(own.Phones) == 0 {
		r.problemAt("customers", "a customer who is in doubt calls; expected company, and its phones")
	}
	if _, port, err := net.SplitHostPort(own.Listen); err == nil && port != "0" && own.Listen == c.Console.Listen {
		r.problemAt("customers.listen", "the pages for the staff are there; expected another address")
	}
}
