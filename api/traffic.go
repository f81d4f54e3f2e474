package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport"
)

// Traffic is how the record leaves for other systems, and how their logs come in.
type Traffic struct {
	// Export writes what is on record. It MUST have checked what it is asked for before it writes anything.
	Export func(ctx context.Context, q ExportQuery, w io.Writer) error
	// Formats are those that Export knows.
	Formats []string
	// Begin puts an import on record and names it; Take puts a part of what it found there.
	Begin func(by sallyport.Staff, what sallyport.Importing) (id string, err error)
	Take  func(ctx context.Context, by sallyport.Staff, id, format string, list []sallyport.Access) (Taken, error)
}

// ExportQuery is what somebody wants to have of the record.
type ExportQuery struct {
	Format  string
	Streams []string // access, control
	Since   time.Time
	Until   time.Time // zero: to its end

	Shown func(sallyport.Staff) bool // who stands there by name, to whoever asks; the others by pseudonyms
}

// Taken is what became of accesses that were imported.
type Taken struct {
	New   int `json:"new"`
	Known int `json:"known"` // by their ids: they stand in the record already
}

// ImportPart are accesses of one import.
type ImportPart struct {
	Import   string             `json:"import"`
	Format   string             `json:"format"`
	Accesses []sallyport.Access `json:"accesses"`
}

// MostImported is how many accesses one part has at most, and mostPart its bytes.
const (
	MostImported = 10_000
	mostPart     = 32 << 20
)

// Whoever may administer takes the record out, and brings logs in: what stands there accuses people.
func (s *Server) trafficRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/export", s.streamed(administrators, s.exportRecord))
	mux.Handle("POST /v1/imports", s.as(administrators, s.beginImport))
	mux.Handle("POST /v1/imports/part", s.upTo(mostPart, administrators, s.takeImport))
}

// completeTrailer says behind an answer that is no JSON that it is whole.
const completeTrailer = "Sallyport-Complete"

// streamed wraps an endpoint that answers with text of any length.
func (s *Server) streamed(who audience, do func(*http.Request, sallyport.Staff) (func(io.Writer) error, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write, err := func() (func(io.Writer) error, error) {
			c, err := s.enter(w, r, who)
			if err != nil {
				return nil, err
			}
			return do(withCaller(r, c), c.staff)
		}()
		if err != nil {
			s.answer(w, nil, err)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the request is read, and the answer may take long
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Trailer", completeTrailer)
		if err := write(w); err == nil { // else the trailer is missing, and the client tells
			w.Header().Set(completeTrailer, "yes")
		}
	})
}

func noTraffic() error {
	return &Problem{http.StatusNotFound, "no_traffic", "This serve exports and imports nothing.", ""}
}

// exportRecord writes the record in another format. That somebody takes it out is recorded before anything leaves.
func (s *Server) exportRecord(r *http.Request, me sallyport.Staff) (func(io.Writer) error, error) {
	if s.c.Traffic == nil {
		return nil, noTraffic()
	}
	q, err := s.exportQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: "export", By: me, Details: q.Format})
	q.Shown = s.shownTo(me)
	e.Note = fmt.Sprintf("exported the record (%s) as %s since %s", strings.Join(q.Streams, ", "), q.Format, q.Since.UTC().Format(time.RFC3339))
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return s.c.Traffic.Export(r.Context(), q, w) }, nil
}

func (s *Server) exportQuery(v url.Values) (q ExportQuery, err error) {
	q = ExportQuery{Format: v.Get("format"), Streams: v["stream"]}
	known := false
	for _, f := range s.c.Traffic.Formats {
		known = known || f == q.Format
	}
	for _, stream := range q.Streams {
		known = known && (stream == "access" || stream == "control")
	}
	for _, at := range []struct {
		key string
		to  *time.Time
	}{{"since", &q.Since}, {"until", &q.Until}} {
		if text := v.Get(at.key); text != "" {
			*at.to, err = time.Parse(time.RFC3339Nano, text)
			known = known && err == nil
		}
	}
	if !known || len(q.Streams) == 0 {
		return q, &Problem{http.StatusBadRequest, "bad_export", "This is no export that can be made.", "Give ?format=" + strings.Join(s.c.Traffic.Formats, "|") + "&stream=access&stream=control&since=RFC3339."}
	}
	return q, nil
}

func (s *Server) beginImport(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Traffic == nil {
		return nil, noTraffic()
	}
	var what sallyport.Importing
	if err := body(r, &what); err != nil {
		return nil, err
	}
	if what.Source == "" || len(what.Source) > 100 || len(what.Files) > 100 {
		return nil, &Problem{http.StatusBadRequest, "bad_import", "No source is named, or with too long a name.", "Say what the log is of: --source crm."}
	}
	id, err := s.c.Traffic.Begin(me, what)
	if err != nil {
		return nil, err
	}
	return map[string]string{"import": id}, nil
}

func (s *Server) takeImport(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Traffic == nil {
		return nil, noTraffic()
	}
	var part ImportPart
	if err := body(r, &part); err != nil {
		return nil, err
	}
	if len(part.Accesses) > MostImported {
		return nil, &Problem{http.StatusBadRequest, "bad_import", "These are too many accesses at a time.", fmt.Sprintf("Send %d at most.", MostImported)}
	}
	return s.c.Traffic.Take(r.Context(), me, part.Import, part.Format, part.Accesses)
}

// Export writes the record into w.
func (c *Client) Export(ctx context.Context, q ExportQuery, w io.Writer) error {
	v := url.Values{"format": {q.Format}, "stream": q.Streams}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if !q.Until.IsZero() {
		v.Set("until", q.Until.Format(time.RFC3339Nano))
	}
	response, err := c.ask(ctx, http.MethodGet, "/v1/export?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	if response.Trailer.Get(completeTrailer) != "yes" {
		return errors.New("read the export: it broke off; see the log of serve")
	}
	return nil
}

// BeginImport puts on record what is going to be imported.
func (c *Client) BeginImport(ctx context.Context, what sallyport.Importing) (id string, err error) {
	var answer struct {
		Import string `json:"import"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/imports", what, &answer)
	return answer.Import, err
}

// ImportAccesses hands over a part of an import.
func (c *Client) ImportAccesses(ctx context.Context, part ImportPart) (t Taken, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/imports/part", part, &t)
	return t, err
}
