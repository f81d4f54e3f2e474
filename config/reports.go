package config

// ReportsConfig says where other systems send what customers tell of scam calls, and how many customers there are.
type ReportsConfig struct {
	Listen      string `yaml:"listen"`      // HOST:PORT for signed messages at /reports; other than loopback needs a certificate. Empty: none are taken
	Certificate string `yaml:"certificate"` // PEM; with Key
	Key         string `yaml:"key"`         // PEM
	SecretFile  string `yaml:"secret_file"` // one line, mode 0600, 32 characters or more: the key of the signature (HMAC-SHA-256)
	Customers   int64  `yaml:"customers"`   // how many the company has; 0: as many as anybody saw. Calls at random hit any of them
}

func (c *ReportsConfig) check(r *Document) {
	if c.Customers < 0 {
		r.problemAt("reports.customers", "%d; expected how many customers there are, or nothing", c.Customers)
	}
	if c.Listen == "" {
		return
	}
	checkAddress(r, "reports.listen", c.Listen)
	if c.SecretFile == "" {
		r.problemAt("reports.listen", "anybody could report in a customer's name; expected reports.secret_file")
	}
	if (c.Certificate == "") != (c.Key == "") {
		r.problemAt("reports.certificate", "expected certificate and key")
	} else if c.Certificate == "" && !loopback(c.Listen) {
		r.problemAt("reports.listen", "%s is no loopback address; expected reports.certificate and key", c.Listen)
	}
}
