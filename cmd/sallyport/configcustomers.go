package main

import "net"

// CustomersConfig is where the pages for customers are, on a listener of their own: docs/customers.md.
type CustomersConfig struct {
	Listen      string   `yaml:"listen"`      // HOST:PORT, always over TLS, which customers reach themselves. Empty: there are no pages, and no calls are scheduled
	Certificate string   `yaml:"certificate"` // PEM, with Key
	Key         string   `yaml:"key"`         // of the certificate
	Company     string   `yaml:"company"`     // as customers know it
	Phones      []string `yaml:"phones"`      // the company's real numbers, +49 30 1234567
	Mails       []string `yaml:"mails"`       // and addresses
	Domains     []string `yaml:"domains"`     // that its mails and pages end in
	Texts       string   `yaml:"texts"`       // folder of LANGUAGE.json: other languages, or other words; what a file lacks is as the program has it. Empty: English and German
}

func (c *Config) checkCustomers(r *configReader) {
	own := &c.Customers
	if own.Listen == "" {
		return
	}
	checkAddress(r, "customers.listen", own.Listen)
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
