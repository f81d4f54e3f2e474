package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/api"
	"sallyport/config"
)

// TestValues asks a running serve for values over TLS, as a program that speaks no SQL does: by a token that two people made with the commands, through
// --server. What is answered is on record first, and nothing of it stands anywhere else.
func TestValues(t *testing.T) {
	t.Parallel()
	a := newAsking(t, "", func(o *Options) {
		text, err := os.ReadFile(o.Config.File)
		fatal(t, err)
		authority, err := newAuthority()
		fatal(t, err)
		folder := filepath.Dir(o.Config.File)
		authority.mustIssue(t, "localhost").files(t, folder, "own")
		fatal(t, os.WriteFile(filepath.Join(folder, "ca.crt"), []byte(authority.PEM), 0o600))
		whole := strings.Replace(string(text), "demonstration: true", "demonstration: true\ntls: {certificate: own.crt, key: own.key}\napi: {listen: 127.0.0.1:0}", 1)
		o.Config, err = config.Parse(o.Config.File, []byte(whole))
		fatal(t, err)
	})
	who, ticket, customer := a.hasTicket(0)
	_, port, err := net.SplitHostPort(a.server.Remote().String())
	fatal(t, err)
	remote := []string{"--server", "https://localhost:" + port, "--ca", filepath.Join(a.folder, "ca.crt"), "--json"}
	run := func(as string, into any, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string {
			return map[string]string{passwordVariable: as + "-password"}[name]
		}}
		if err := m.Run(t.Context(), append(append(args, "--as", as), remote...)); err != nil {
			t.Fatalf("%v: %v %s", args, err, &errs)
		}
		fatal(t, json.Unmarshal(out.Bytes(), into))
	}
	var proposed api.TokenProposed
	run("o1", &proposed, "api-token", "ask", string(who), "--scopes", "reveal,tokenise", "--reason", "the desk's program")
	var approved api.Proposal
	run("o2", &approved, "approve", proposed.Proposal)

	token := fmt.Sprintf("%s%s_%s_%s", api.TokenPrefix, proposed.Proposal, proposed.Code, approved.Code)
	authority, err := os.ReadFile(filepath.Join(a.folder, "ca.crt"))
	fatal(t, err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	c := api.NewRemote("https://localhost:"+port, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted})
	defer c.Close()
	c.With(token)
	before := len(a.events())
	why := fmt.Sprintf("ticket:%d", ticket.ID)
	tokens, err := c.Tokenise(t.Context(), api.ValuesRequest{Purpose: why, Items: []api.ValueItem{{Column: "support.customers.email", Value: customer.Email}}})
	fatal(t, err)
	if len(tokens.Items) != 1 || !strings.HasSuffix(tokens.Items[0].Token, ".k1.invalid") {
		t.Fatalf("%+v", tokens)
	}
	q := api.ValuesRequest{Purpose: why, ValueItem: api.ValueItem{Column: "support.customers.email", Token: tokens.Items[0].Token}}
	values, err := c.Reveal(t.Context(), q)
	fatal(t, err)
	if len(values.Items) != 1 || values.Items[0].Value != customer.Email {
		t.Fatalf("%d answers, not the customer's", len(values.Items))
	}
	named := false
	for _, e := range a.events()[before:] {
		named = named || e.Reveal != nil && e.Who.Staff == who && e.Who.Application == "api" && e.Reveal.Values.Len() == 1
	}
	if !named {
		t.Error("the record does not say that a value was revealed")
	}
	q.Purpose = ""
	if values, err = c.Reveal(t.Context(), q); err != nil || values.Items[0].Problem == nil || values.Items[0].Value != "" {
		t.Errorf("without a reason: %+v %v", values, err)
	}
	for _, e := range a.events() {
		if text, err := json.Marshal(e); err != nil || bytes.Contains(text, []byte(customer.Email)) {
			t.Error("the record holds the value")
		}
	}
	if strings.Contains(a.log.String(), customer.Email) || strings.Contains(a.log.String(), proposed.Code) {
		t.Error("the log holds it")
	}
	var listed struct {
		Tokens []api.TokenInfo `json:"tokens"`
	}
	if run("o1", &listed, "api-token", "ls"); len(listed.Tokens) != 1 {
		t.Errorf("%+v", listed)
	}
	var ended map[string]any
	run("o3", &ended, "api-token", "end", proposed.Proposal, "--reason", "the test is over")
	if _, err := c.Reveal(t.Context(), q); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("after its end: %v", err)
	}
	a.restart()
	if n := len(a.server.State.Tokens(a.server.O.Clock())); n != 0 {
		t.Errorf("a restart brings %d back", n)
	}
}
