package serve

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"sallyport"
	"sallyport/api"
	"sallyport/program/training"
)

// trainingPath is where signed messages about courses and phishing tests arrive.
const trainingPath = "/training"

// trainingMessage is what another system sends.
type trainingMessage struct {
	ID   string                   `json:"id"` // of the message: what was taken once is not taken again
	Rows []sallyport.TrainingFact `json:"rows"`
}

// hear takes one message, and says how many rows were new.
func (t *teaching) hear(h http.Header, text []byte) (int, error) {
	if err := signedBy(t.secret, "training.secret_file", t.s.O.Clock(), h, text); err != nil {
		return 0, err
	}
	var m trainingMessage
	if err := json.Unmarshal(text, &m); err != nil || m.ID == "" || len(m.ID) > 200 {
		return 0, &api.Problem{Status: http.StatusBadRequest, Code: "bad_training", Sentence: "This is no message with an id of at most 200 characters and rows.", Hint: "See docs/programme.md#training."}
	}
	step, err := api.TrainingRows(training.FromWebhook, m.ID, m.Rows)
	if err != nil {
		return 0, err
	}
	if err := t.put(step); err != nil {
		if knew := t.book.Taken(m.ID); knew {
			return 0, nil
		}
		return 0, err
	}
	return len(m.Rows), nil
}

// put puts rows on record, unless their message came before.
func (t *teaching) put(step *sallyport.TrainingStep) error {
	return t.s.orders.Give(func() error {
		if step.ID != "" && t.book.Taken(step.ID) {
			return errKnows
		}
		return nil
	}, &sallyport.Event{Time: t.s.O.Clock(), Kind: sallyport.TrainingKind, Order: &sallyport.Order{Action: training.Imported, Training: step}})
}

// anyCourse is the course of which the personnel department only says that one is overdue.
const anyCourse = "as the personnel department says"

// heard takes what the personnel department says about training.
func (t *teaching) heard(list []sallyport.Input) error {
	var rows []sallyport.TrainingFact
	for _, in := range list {
		if in.HR == nil {
			continue
		}
		f := sallyport.TrainingFact{Staff: in.HR.Staff, Kind: training.Course, Name: cmp.Or(in.HR.Value, anyCourse)}
		switch in.HR.Type {
		case "training_overdue":
			f.Due = in.HR.Time
		case "training_done":
			f.Done, f.Result = in.HR.Time, training.Passed
		default:
			continue
		}
		if training.Check(&f) == nil {
			rows = append(rows, f)
		}
	}
	for part := range slices.Chunk(rows, training.MostRows) {
		if err := t.put(&sallyport.TrainingStep{Do: training.Imported, Source: training.FromHR, Rows: part}); err != nil {
			return err
		}
	}
	return nil
}
