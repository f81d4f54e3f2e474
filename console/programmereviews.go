package console

import (
	"slices"

	"sallyport"
	"sallyport/api"
)

// reviewsPage are reviews of access, those that wait for a decision first.
type reviewsPage struct {
	Reviews []reviewed
	More    int // that are not shown
}

// reviewed is a review of one person's access.
type reviewed struct {
	api.ReviewStatus
	Mine bool // it is open: whoever sees it may decide
}

// mostReviews are shown; sallyport program review ls prints all.
const mostReviews = 100

// reviews shows those that one may see: of everybody, or of one's people.
func (v *visit) reviews() error {
	p := &reviewsPage{}
	list, err := v.api.Reviews(v.r.Context())
	if err != nil {
		return err
	}
	for _, x := range list {
		p.Reviews = append(p.Reviews, reviewed{x, x.State == "open"})
	}
	slices.SortStableFunc(p.Reviews, func(a, b reviewed) int {
		if a.Mine != b.Mine {
			if a.Mine {
				return -1
			}
			return 1
		}
		return a.Until.Compare(b.Until)
	})
	if n := len(p.Reviews); n > mostReviews {
		p.Reviews, p.More = p.Reviews[:mostReviews], n-mostReviews
	}
	return v.show("programme-reviews", "Reviews of access", p)
}

// openReviews is how many wait for a decision.
func (v *visit) openReviews() (n int, err error) {
	list, err := v.api.Reviews(v.r.Context())
	for _, x := range list {
		if x.State == "open" {
			n++
		}
	}
	return n, err
}

// decideReview says whether somebody keeps what he may read.
func (s *Console) decideReview(v *visit) error {
	keep := v.form("keep") == "yes"
	if err := v.api.DecideReview(v.r.Context(), v.form("name"), sallyport.Staff(v.form("staff")), keep, v.form("reason")); err != nil {
		return err
	}
	return v.done("/programme/reviews", "reviewed")
}

// documentsPage are the written policies, and whether one has acknowledged them.
type documentsPage struct{ Documents []api.WrittenPolicy }

func (v *visit) documents() error {
	list, err := v.api.Documents(v.r.Context())
	if err != nil {
		return err
	}
	return v.show("programme-documents", "Written policies", documentsPage{list})
}

// unread is how many written policies one is to have read and has not acknowledged.
func (v *visit) unread() (n int, err error) {
	list, err := v.api.Documents(v.r.Context())
	for _, d := range list {
		if d.AsksMe && d.Read.IsZero() {
			n++
		}
	}
	return n, err
}

// acknowledge puts on record that somebody has read the version that he was shown.
func (s *Console) acknowledge(v *visit) error {
	if _, err := v.api.Acknowledge(v.r.Context(), v.form("document"), v.form("version")); err != nil {
		return err
	}
	return v.done("/programme/documents", "acknowledged")
}
