package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"sallyport/api"
)

// rotationPage are draws: what was committed to, what came of it, and one that was repeated just now.
type rotationPage struct {
	Draws    []drawn
	Verified *api.VerifiedDraw // nil: none was
}

// drawn is a draw on record, with who serves what since.
type drawn struct {
	api.RotationStatus
	Starts   string
	Handover string
	Posts    []struct {
		Post   string   `json:"post"`
		Who    []string `json:"who"`
		Before []string `json:"before"`
		Stays  string   `json:"stays"`
	}
}

// rotation shows the draws, the newest first.
func (v *visit) rotation(verified *api.VerifiedDraw) error {
	list, err := v.api.Rotations(v.r.Context())
	if err != nil {
		return err
	}
	p := rotationPage{Verified: verified}
	for _, x := range slices.Backward(list) {
		d := drawn{RotationStatus: x}
		if x.Result != "" {
			var result struct {
				Start    string `json:"start"`
				Handover string `json:"handover_until"`
				Posts    any    `json:"posts"`
			}
			result.Posts = &d.Posts
			if err := json.Unmarshal([]byte(x.Result), &result); err != nil {
				return fmt.Errorf("read the draw %s: %w", x.Name, err)
			}
			d.Starts, d.Handover = result.Start, result.Handover
		}
		p.Draws = append(p.Draws, d)
	}
	return v.show("programme-rotation", "Rotation", p)
}

// verifyDraw repeats the draw of a file that the browser sends, and holds it to the record.
func (s *Console) verifyDraw(v *visit) error {
	if err := v.r.ParseMultipartForm(mostUpload); err != nil { //nolint:gosec // guarded bounds every body, this one by mostUpload
		return badForm(err)
	}
	file, _, err := v.r.FormFile("file")
	if err != nil {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_rotation", Sentence: "There is no file to repeat a draw from.", Hint: "Choose the file that 'sallyport program rotate draw' wrote for everybody."}
	}
	text, err := io.ReadAll(file)
	_ = file.Close()
	if err != nil {
		return badForm(err)
	}
	verified, err := v.api.VerifyRotation(v.r.Context(), string(text))
	if err != nil {
		return err
	}
	return v.rotation(verified)
}
