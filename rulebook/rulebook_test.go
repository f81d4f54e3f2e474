package rulebook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/config"
	"sallyport/policy"
)

// TestLoad: a folder's policies hold whole or not at all, and what is wrong is said with its place; without a folder the program's own hold.
func TestLoad(t *testing.T) {
	c := &config.Config{}
	own, _, err := Load(c, "")
	if err != nil || len(own.All()) == 0 {
		t.Fatalf("the program's own: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "policies")
	names, err := Write(dir)
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	if _, err := Write(dir); err == nil || !strings.Contains(err.Error(), "never overwritten") {
		t.Errorf("written over: %v", err)
	}
	same, _, err := Load(c, dir)
	if err != nil || len(same.All()) != len(own.All()) {
		t.Fatalf("what was written does not hold: %v", err)
	}
	if changes := GroupChanges(policy.Diff(own, same)); len(changes) != 0 {
		t.Errorf("the same policies differ: %+v", changes)
	}
	if err := os.WriteFile(filepath.Join(dir, "zz.cedar"), []byte("permit (principal, action,\n  resource) when { principal.nothing };"), 0o600); err != nil {
		t.Fatal(err)
	}
	if set, _, err := Load(c, dir); set != nil || err == nil || !strings.Contains(err.Error(), "the policies have ") || !strings.Contains(err.Error(), "zz.cedar:1") {
		t.Errorf("a mistake: %v", err)
	}
	if _, _, err := Load(c, filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "sallyport policy init") {
		t.Errorf("no folder: %v", err)
	}
	if _, _, err := Load(c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "nothing is permitted without") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestChanges: columns of which the same is true stand in one change, and the first few of many people are named.
func TestChanges(t *testing.T) {
	var many []sallyport.Staff
	for id := range strings.FieldsSeq("a b c d e f g h i j") {
		many = append(many, sallyport.Staff(id))
	}
	column := func(name string) sallyport.Column {
		return sallyport.Column{Schema: "support", Table: "customers", Name: name}
	}
	got := GroupChanges([]policy.Change{
		{Who: many, Action: policy.ActionReveal, Column: column("email"), Loses: []string{"by a ticket"}},
		{Who: many, Action: policy.ActionReveal, Column: column("phone"), Loses: []string{"by a ticket"}},
		{Who: many[:1], Action: policy.ActionReveal, Column: column("phone"), Gains: []string{"by a call"}},
	})
	if len(got) != 2 || len(got[0].Columns) != 2 {
		t.Fatalf("%+v", got)
	}
	want := "a, b, c, d, e, f, g, h and 2 more, reveal support.customers.email, support.customers.phone:\n  loses: by a ticket\n"
	if lines := got[0].Lines(); lines != want {
		t.Errorf("%q, want %q", lines, want)
	}
}
