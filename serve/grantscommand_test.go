package serve

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sallyport"
	"sallyport/config"
)

// command runs one as somebody, with his password.
func (a *asking) command(who sallyport.Staff, args ...string) (out, heard string, err error) {
	a.t.Helper()
	password := "agent-password"
	if strings.HasPrefix(string(who), "o") {
		password = string(who) + "-password"
	}
	var stdout, stderr bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
		return map[string]string{passwordVariable: password}[name]
	}}
	err = m.Run(a.ctx, append(args, "--as", string(who), "--data", a.options.Data))
	return stdout.String(), stderr.String(), err
}

// TestGrantCommands goes the way of a grant and of a break-glass by the commands, as people read them.
func TestGrantCommands(t *testing.T) {
	a := newAsking(t, "")
	who, ticket, customer := a.hasTicket(0)
	c := a.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))

	must := func(who sallyport.Staff, args ...string) string {
		t.Helper()
		out, _, err := a.command(who, args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	out := must(who, "request", "support.customers.email", "--customer", "17", "--customer", "11", "--for", "90m", "--reason", "whom INC-1 hit")
	id := regexp.MustCompile(`gr-[a-z0-9]+`).FindString(out)
	if !strings.Contains(out, "you ask for 2 customers; usually 1 a day, 1 at most (on 1 day of 30)") || !strings.Contains(out, "It takes 2 of officers") {
		t.Errorf("%q", out)
	}
	out = must("o1", "approve", id)
	lines := strings.Split(out, "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "customers asked for") || !strings.HasSuffix(lines[0], "2 (only 11, 17)") ||
		!strings.HasPrefix(lines[1], "usually needs") || !strings.HasSuffix(lines[1], "1 a day, 1 at most (on 1 day of 30)") {
		t.Errorf("the two figures do not come first: %q", out)
	}
	if !strings.Contains(out, "approved by you; it takes 2 of officers") {
		t.Errorf("%q", out)
	}
	if out := must("o2", "grants", "ls"); !strings.Contains(out, id+"  asked, yours to decide") {
		t.Errorf("%q", out)
	}
	if out := must("o2", "approve", id); !strings.Contains(out, id+" is active until") {
		t.Errorf("%q", out)
	}
	if out := must(who, "grants", "end", id, "--reason", "done"); !strings.Contains(out, "is ended") {
		t.Errorf("%q", out)
	}
	if out := must("o2", "grants", "show", id); !strings.Contains(out, "by "+string(who)+": done") || !strings.Contains(out, "seen                  0 customers") {
		t.Errorf("%q", out)
	}
	if out := must("o2", "grants", "ls"); out != "Nothing is asked for, and no grant that concerns you holds.\n" {
		t.Errorf("%q", out)
	}
}

// TestGrantCommandsRefuse says what to do where a command lacks something, and the way of a break-glass.
func TestGrantCommandsRefuse(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	for want, args := range map[string][]string{
		"expected COLUMN":       {"request", "--customers", "1", "--for", "1h", "--reason", "r"},
		"expected --customers":  {"request", "c", "--for", "1h", "--reason", "r"},
		"expected --for":        {"request", "c", "--customers", "1", "--reason", "r"},
		"expected --reason":     {"request", "c", "--customers", "1", "--for", "1h"},
		"expected its name":     {"break-glass"},
		"expected --finding":    {"grants", "review", "bg-1", "--reason", "r"},
		"is not protected":      {"request", "support.customers.segment", "--customers", "1", "--for", "1h", "--reason", "r"},
		"No column is of":       {"request", "--class", "secret", "--customers", "1", "--for", "1h", "--reason", "r"},
		"Nobody is in the team": {"request", "--class", "contact", "--customers", "1", "--for", "1h", "--reason", "r", "--tickets-of", "nowhere"},
		"more than the 10":      {"request", "support.customers.full_name", "--customers", "11", "--for", "1h", "--reason", "r"},
		"sallyport confirm":     {"break-glass", "INC-1", "--class", "contact", "--customers", "1", "--reason", "r"},
		"concerns you":          {"grants", "show", "gr-none"},
	} {
		_, _, err := a.command(who, args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
		usage := (*config.UsageError)(nil)
		if strings.HasPrefix(want, "expected") != errors.As(err, &usage) {
			t.Errorf("%v: exit status %d", args, exitCode(err))
		}
	}
	_, _, err := a.command(who, "confirm")
	fatal(t, err)
	out, _, err := a.command(who, "break-glass", "INC-311", "--class", "contact", "--customers", "2", "--reason", "nobody on duty")
	fatal(t, err)
	id := regexp.MustCompile(`bg-[a-z0-9]+`).FindString(out)
	if !strings.Contains(out, "SET sallyport.purpose = 'grant:"+id+"';") || !strings.Contains(out, "Somebody else must review it until") {
		t.Errorf("%q", out)
	}
	_, heard, err := a.command("o1", "status")
	fatal(t, err)
	if !strings.Contains(heard, "notice: "+string(who)+" broke the glass ("+id+")") {
		t.Errorf("%q", heard)
	}
	out, _, err = a.command("o1", "grants", "review", id, "--finding", "justified", "--reason", "two called back")
	if err != nil || out != id+": reviewed, justified.\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, heard, _ := a.command("o1", "status"); heard != "" {
		t.Errorf("%q", heard)
	}
}
