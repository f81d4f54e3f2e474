package sources

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sallyport"
	"sallyport/query"
)

// ocsfObject is what is read of an object of class 6005.
type ocsfObject struct {
	ClassUID   *int64   `json:"class_uid"`
	ActivityID *int64   `json:"activity_id"`
	Time       *float64 `json:"time"`
	Metadata   struct {
		UID string `json:"uid"`
	} `json:"metadata"`
	Actor struct {
		User struct {
			UID    string `json:"uid"`
			TypeID int64  `json:"type_id"`
		} `json:"user"`
		Session struct {
			UID string `json:"uid"`
		} `json:"session"`
		AppName string `json:"app_name"`
	} `json:"actor"`
	Src struct {
		IP   string `json:"ip"`
		UID  string `json:"uid"`
		Name string `json:"name"`
	} `json:"src_endpoint"`
	Query struct {
		Text  string `json:"query_string"`
		UID   string `json:"uid"`
		Bytes int64  `json:"bytes"`
	} `json:"query_info"`
	Database struct {
		Name string `json:"name"`
	} `json:"database"`
	Table struct {
		Name string `json:"name"`
	} `json:"table"`
	StatusID int64 `json:"status_id"`
	Unmapped struct {
		Sallyport struct {
			Rows     int64               `json:"rows"`
			Columns  []string            `json:"columns"`
			Subjects []sallyport.Subject `json:"subjects"`
			Count    int64               `json:"subject_count"`
			Purpose  struct {
				Kind string `json:"kind"`
				Ref  string `json:"ref"`
			} `json:"purpose"`
			Verdict   string              `json:"verdict"`
			Policy    string              `json:"policy"`
			Trust     *int                `json:"trust"`
			Via       sallyport.Staff     `json:"via"`
			Statement uint64              `json:"statement"`
			Reached   []sallyport.Subject `json:"reached"`
			Reach     int64               `json:"reach"`
			Probes    int64               `json:"probes"`
			Powers    []string            `json:"powers"`
		} `json:"sallyport"`
	} `json:"unmapped"`
}

// OCSF reads objects of class 6005, one a line; other classes are counted and passed over. Texts of statements leave their shape.
func OCSF(r io.Reader, use func(*sallyport.Access) error, bad Bad) (other int, err error) {
	err = eachLine(r, func(text []byte, n int) error {
		var o ocsfObject
		if err := json.Unmarshal(text, &o); err != nil {
			return bad(n, "no JSON object of the form that OCSF has")
		}
		if o.ClassUID == nil {
			return bad(n, "no class_uid")
		}
		if *o.ClassUID != 6005 {
			other++
			return nil
		}
		a, what := o.access()
		if what != "" {
			return bad(n, what)
		}
		return use(a)
	})
	return other, err
}

func (o *ocsfObject) access() (a *sallyport.Access, what string) {
	switch {
	case o.ActivityID == nil:
		return nil, "no activity_id"
	case *o.ActivityID < 0 || *o.ActivityID > 255:
		return nil, fmt.Sprintf("activity_id %d is none of OCSF's", *o.ActivityID)
	case o.Time == nil:
		return nil, "no time"
	case *o.Time < 0 || *o.Time > 253402300799999:
		return nil, "time is not in milliseconds since 1970"
	case o.Actor.User.UID == "":
		return nil, "no actor.user.uid"
	}
	s := &o.Unmapped.Sallyport
	a = &sallyport.Access{
		UID: o.Metadata.UID, Time: time.UnixMilli(int64(*o.Time)).UTC(), Activity: sallyport.Activity(*o.ActivityID), //nolint:gosec // bounded above
		Staff: sallyport.Staff(o.Actor.User.UID), Service: o.Actor.User.TypeID == 3, Via: s.Via, Session: o.Actor.Session.UID, Application: o.Actor.AppName,
		Address: o.Src.IP, Device: o.Src.UID, Shape: o.Query.UID, Database: known(o.Database.Name), Table: o.Table.Name, Columns: s.Columns, Bytes: o.Query.Bytes,
		Rows: s.Rows, Refused: o.StatusID == 2 || s.Verdict == sallyport.Deny.String(), Subjects: s.Subjects, Count: s.Count,
		Purpose: sallyport.Purpose{Kind: s.Purpose.Kind, Ref: s.Purpose.Ref}, Verdict: s.Verdict, Statement: s.Statement, Reached: s.Reached,
		Reach: s.Reach, Probes: s.Probes, Powers: s.Powers, Policy: s.Policy,
	}
	if a.Address == "" {
		a.Address = known(o.Src.Name)
	}
	if s.Trust != nil {
		a.Trust = max(0, min(*s.Trust, 100)) + 1
	}
	if o.Query.Text == "" {
		return a, ""
	}
	shape, verb, ok := query.Outline(o.Query.Text, true)
	if a.Shape == "" && ok {
		a.Shape = shape
	}
	switch {
	case isVerb(o.Query.Text):
		a.Verb = o.Query.Text
	case ok:
		a.Verb = verb
	}
	return a, ""
}

// isVerb says whether a text is no more than what Sallyport writes in place of one: SELECT, ALTER TABLE.
func isVerb(text string) bool {
	return len(text) < 40 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") == ""
}

// known is a name, unless it is the word that stands for none where OCSF requires one.
func known(name string) string {
	if name == "unknown" {
		return ""
	}
	return name
}
