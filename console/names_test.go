package console

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"sallyport"
	"sallyport/api"
)

// TestNoNamesTriedThrough: whoever writes many names into a case does not read back which of them belongs to a pseudonym in it.
func TestNoNamesTriedThrough(t *testing.T) {
	s := newStage(t)
	id, pseudonym := s.found("s001"), s.names.Person("s001")
	all := "s000 s001 s002 s050"
	b := s.as("s050")
	at := b.post("/findings/"+id+"/case", "reason", all).is(t, http.StatusSeeOther).header.Get("Location")
	page, _, _ := strings.Cut(at, "?")
	for _, do := range []string{"note", "task", "hold", "export"} {
		b.post(page+"/"+do, "text", all+" ").is(t, http.StatusSeeOther)
	}
	b.post(page+"/close", "text", all, "outcome", "unfounded").is(t, http.StatusSeeOther)
	b.post("/findings/"+id+"/lock", "reason", all+" ").is(t, http.StatusSeeOther)
	for _, path := range []string{page, "/findings", "/requests", "/findings/" + id} {
		body := b.get(path).is(t, http.StatusOK).body
		if strings.Contains(body, "s000 "+pseudonym) {
			t.Errorf("%s tells whose pseudonym it is:\n%s", path, body)
		}
	}
	b.get(page).has(t, all)
	// Others read no name that a colleague wrote of whom the case is about.
	s.as("s060").get(page).has(t, "s000 "+pseudonym+" s002")
	if s.count(sallyport.Locked) != 1 {
		t.Error("the lock is not on record")
	}
}

// TestTroubleWithoutNames: a step that could not be taken stands first on *Now*, by the pseudonym of whom it is about.
func TestTroubleWithoutNames(t *testing.T) {
	s := newStage(t, func(c *api.Config) {
		c.Status = func(context.Context) []api.Standby {
			return []api.Standby{{What: "failed", How: "s001-1/lock, 3 attempts: the directory does not know s001"}, {What: "history", How: "has 1 of 1 entries"}}
		}
	})
	id := s.found("s001")
	body := s.as("s050").get("/now").is(t, http.StatusOK).has(t, "<li>failed: "+id+"/lock, 3 attempts: the directory does not know "+s.names.Person("s001")+"</li>").body
	if strings.Contains(body, "s001") || strings.Contains(body, "<li>history") {
		t.Errorf("Now names him, or tells of what is well:\n%s", body)
	}
}
