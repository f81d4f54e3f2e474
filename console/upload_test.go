package console

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// file sends a form with a file in it.
func (b *browser) file(path, name, text string, fields ...string) page {
	b.s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		fatal(b.s.t, w.WriteField(fields[i], fields[i+1]))
	}
	part, err := w.CreateFormFile(name, "reports.csv")
	fatal(b.s.t, err)
	_, err = part.Write([]byte(text))
	fatal(b.s.t, err)
	fatal(b.s.t, w.Close())
	r, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodPost, b.s.web.URL+path, &body)
	fatal(b.s.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", b.s.web.URL)
	return b.do(r)
}

// TestReportsFromAFile takes reports of a file as trace reads it, beside those that were typed; a bad line of either takes none.
func TestReportsFromAFile(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	b.file("/trace/upload", "file", "\ufefftime,customer,channel,quoted,note\n2026-03-02T08:00:00Z,48211,sms,ticket+name,\"he said, twice\"\n,48212,,,\n", "reports", "48210,name\n", "channel", "call").is(t, http.StatusSeeOther)
	var got []string
	for _, r := range *s.reports {
		got = append(got, string(r.Customer)+" "+r.Channel+" "+strings.Join(r.Quoted, "+"))
	}
	if want := []string{"48210 call name", "48211 sms ticket+name", "48212 call "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if at := (*s.reports)[1].Time; at.Hour() != 8 {
		t.Errorf("it was told at %v", at)
	}
	b.file("/trace/upload", "file", "48213\n48214,email\n", "channel", "email").is(t, http.StatusSeeOther)
	n := len(*s.reports)
	if n != 5 {
		t.Errorf("%d reports", n)
	}
	for _, bad := range []string{"customer,time\n1,yesterday\n", "customer,time\n1\n", "1,shoe size\n", "customer\n" + strings.Repeat("1\n", mostPasted+1), "", strings.Repeat("a", mostUpload)} {
		if a := b.file("/trace/upload", "file", bad, "channel", "call"); a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%.20q: %d", bad, a.status)
		}
	}
	if len(*s.reports) != n {
		t.Error("a part of a bad file was taken")
	}
}
