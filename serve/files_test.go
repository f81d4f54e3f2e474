package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/rulebook"
)

// strict is the change of options by which a fort takes changes of its files by two people only: no demonstration, and policies in a folder, which let a log-in at
// the database do.
func strict(t *testing.T, o *Options) {
	t.Helper()
	folder := filepath.Dir(o.Config.File)
	if _, err := rulebook.Write(filepath.Join(folder, "policies")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "policies", "strength.cedar")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, o.Config.File, "demonstration: true", "policies: policies")
	reread(t, o)
}

func rewrite(t *testing.T, path, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q: %v", path, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func reread(t *testing.T, o *Options) {
	t.Helper()
	config, err := config.Load(o.Config.File)
	if err != nil {
		t.Fatal(err)
	}
	o.Config = config
}

// command runs a command as an officer.
func (f *fort) command(who sallyport.Staff, args ...string) (string, error) {
	f.t.Helper()
	file := filepath.Join(f.folder, string(who)+".password")
	if err := os.WriteFile(file, []byte(who+"-password\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return runMainOf(f.t.(*testing.T), append(args, "--data", f.options.Data, "--as", string(who), "--password-file", file)...)
}

// newest is the proposal of files that was made last.
func (f *fort) newest() control.Proposal {
	f.t.Helper()
	list := f.open(control.Files)
	if len(list) == 0 {
		f.t.Fatal("no files are proposed")
	}
	return list[len(list)-1]
}

// TestFilesTakeTwo: whoever can write the files alone changes nothing; two people do, policies at once and the configuration at the next start.
func TestFilesTakeTwo(t *testing.T) {
	f := newFort(t, "budgets: {default: {revealed: {hour: 100, day: 100}}}\n", func(o *Options) { strict(t, o) })
	file := f.options.Config.File
	budget := func() int { return f.server.O.Config.Budgets.Default.Revealed.Day }
	restart := func() {
		t.Helper()
		reread(t, &f.options)
		f.restart()
	}
	if f.server.Unapproved || !strings.Contains(f.log.String(), "approve themselves") {
		t.Error("the first files do not say that they approve themselves")
	}

	// Who writes the file changes nothing, also by a file that says that one is enough.
	rewrite(t, file, "day: 100}", "day: 7777}")
	rewrite(t, file, "policies: policies", "policies: policies\ndemonstration: true")
	restart()
	if budget() != 100 || f.server.O.Config.Demonstration || !f.server.Unapproved {
		t.Errorf("a file that nobody approved holds: a budget of %d", budget())
	}
	if out, err := f.command("o1", "status"); err != nil || !strings.Contains(out, "sallyport config propose") {
		t.Errorf("status says %q, %v", out, err)
	}
	if _, err := Protect(t.Context(), f.options.Config, ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile}); err == nil {
		t.Error("protect works by a configuration that nobody approved")
	}

	// Proposed, with what it changes, and approved by somebody else: from the next start on.
	rewrite(t, file, "\ndemonstration: true", "")
	out, err := f.command("o1", "config", "propose", "--config", file, "--reason", "a busy week")
	if err != nil || !strings.Contains(out, "~ budgets.default.revealed.day: 100 → 7777") || strings.Contains(out, "argon2") {
		t.Fatalf("%q, %v", out, err)
	}
	id := f.newest().ID
	if out, err := f.command("o2", "proposals", id); err != nil || !strings.Contains(out, "100 → 7777") || !strings.Contains(out, "(sallyport replay, report ") || !strings.Contains(out, "a busy week") {
		t.Errorf("the approver reads %q, %v", out, err)
	}
	if _, err := f.command("o1", "approve", id); err == nil {
		t.Error("who proposed it approved it")
	}
	restart()
	if budget() != 100 {
		t.Error("what is proposed only holds")
	}
	if _, err := f.command("o2", "approve", id); err != nil {
		t.Fatal(err)
	}
	if out, _ := f.command("o1", "status"); !strings.Contains(out, "holds from the next start") {
		t.Errorf("status says %q", out)
	}
	restart()
	if budget() != 7777 || f.server.Unapproved {
		t.Errorf("what two people approved does not hold: %d", budget())
	}

	// The copy in the data folder is only good as long as it is what was approved.
	hash, _ := f.server.State.Files()
	rewrite(t, file, "day: 7777}", "day: 9999}")
	f.stop()
	rewrite(t, filepath.Join(f.options.Data, approvedFolder, hash, "sallyport.yaml"), "day: 7777}", "day: 9998}")
	reread(t, &f.options)
	if s, err := Start(context.Background(), f.options); err == nil || !strings.Contains(err.Error(), "it was changed") {
		if s != nil {
			_ = s.Close()
		}
		t.Errorf("serve starts by a changed copy: %v", err)
	}
	rewrite(t, filepath.Join(f.options.Data, approvedFolder, hash, "sallyport.yaml"), "day: 9998}", "day: 7777}")
	rewrite(t, file, "day: 9999}", "day: 7777}")
	reread(t, &f.options)
	f.start()
	if f.server.Unapproved {
		t.Error("the approved file was put back, and is not taken")
	}
}

// TestPoliciesTakeTwo: policies that a second person approved hold at once in a session that is open, and over a restart, whatever stands on disk.
func TestPoliciesTakeTwo(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, "", func(o *Options) { strict(t, o) })
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	reads := func(c *client) bool {
		t.Helper()
		rows, err := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
		if err != nil {
			t.Fatal(err)
		}
		return rows[0][0] == customer.Email
	}
	set := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)
	c.must(set)
	if !reads(c) {
		t.Fatal("he reads nothing to begin with")
	}
	folder := filepath.Join(f.folder, "stricter")
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(f.folder, "policies"))); err != nil {
		t.Fatal(err)
	}
	ban := "@id(\"test.no-mail\")\n@because(\"nobody reads mail addresses this week\")\nforbid (principal, action == Action::\"reveal\", resource == Column::\"support.customers.email\");\n"
	if err := os.WriteFile(filepath.Join(folder, "ban.cedar"), []byte(ban), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := f.command("o1", "policy", "propose", folder, "--reason", "an incident")
	if err != nil || !strings.Contains(out, "policies: ban.cedar is another") || !strings.Contains(out, "(sallyport replay, report ") || !strings.Contains(out, "loses: token instead of reveal") {
		t.Fatalf("%q, %v", out, err)
	}
	if !reads(c) {
		t.Error("what is proposed only holds")
	}
	if _, err := f.command("o2", "approve", f.newest().ID); err != nil {
		t.Fatal(err)
	}
	if reads(c) {
		t.Error("the approved policies do not hold in a session that is open")
	}
	f.restart() // on disk are those of before
	if !f.server.Unapproved {
		t.Error("the folder of before passes for approved")
	}
	c = f.connect(who)
	c.must(set)
	if reads(c) {
		t.Error("after a restart the policies of the disk hold")
	}
	// Neither what makes no sense is taken, nor what leaves its folder.
	for _, q := range []api.FilesRequest{
		{Policies: []api.PolicyFile{{Name: "a.cedar", Content: "permit (principal"}}},
		{Policies: []api.PolicyFile{{Name: "../a.cedar", Content: ban}}},
		{Policies: nil},
		{Policies: []api.PolicyFile{{Name: "a.cedar", Content: strings.ReplaceAll(ban, "support.customers.email", "support.customers.none")}}},
	} {
		q.PoliciesOnly, q.Reason = true, "test"
		if _, err := f.officer("o1").ProposeFiles(t.Context(), q); err == nil {
			t.Errorf("%+v was taken", q.Policies)
		}
	}
}

// TestFilesAboutSomebody: nobody proposes or approves the configuration that makes him more than he is; and what is secret stands in no difference.
func TestFilesAboutSomebody(t *testing.T) {
	f := newFort(t, "", func(o *Options) { strict(t, o) })
	text, err := os.ReadFile(f.options.Config.File)
	if err != nil {
		t.Fatal(err)
	}
	b, err := BundleOf(f.options.Config)
	if err != nil {
		t.Fatal(err)
	}
	propose := func(by sallyport.Staff, old, replacement string) (api.FilesProposed, error) {
		if !strings.Contains(string(text), old) {
			t.Fatalf("no %q", old)
		}
		return f.officer(by).ProposeFiles(t.Context(), api.FilesRequest{Config: strings.Replace(string(text), old, replacement, 1), Policies: FilesOf(b), Reason: "test"})
	}
	const more, former = "\npowers: {grant: [o1]}\npeople:\n", "\npeople:\n"
	if _, err := propose("o1", former, more); err == nil {
		t.Error("he proposed a power for himself")
	}
	made, err := propose("o2", former, more)
	if err != nil || !strings.Contains(made.Diff, "+ powers.grant[0]: o1") {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := f.officer("o1").Approve(t.Context(), made.Proposal); err == nil {
		t.Error("he approved a power for himself")
	}
	hash, err := officerHash("o2")
	if err != nil {
		t.Fatal(err)
	}
	other, err := officerHash("o3")
	if err != nil {
		t.Fatal(err)
	}
	made, err = propose("o1", string(hash), string(other))
	if err != nil || !strings.Contains(made.Diff, "people.o2.password: (not shown) → (not shown)") {
		t.Errorf("%q, %v", made.Diff, err)
	}
	if _, err := propose("o1", "version: 1", "version: 1\nlistne: x"); err == nil {
		t.Error("a configuration that makes no sense was taken")
	}
	if _, err := propose("o1", "policies: policies", "policies: ''"); err == nil {
		t.Error("policies that the configuration does not name were taken")
	}
}
