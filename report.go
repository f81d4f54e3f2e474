package sallyport

// ReportJudged is a kind of the control stream: somebody asked a customer at contact details on file about his report. Order.Judged.
const ReportJudged EventKind = "report_judged"

// Judged says what a customer answered when somebody asked him, at contact details on file, about a report in his name. A report weighs from then
// on if it was real; what anybody filled in about him falls away if it was not.
type Judged struct {
	Report string `cbor:"1,keyasint"` // its id: the entry of the control stream by which it came, and after a full stop which one of it
	Real   bool   `cbor:"2,keyasint,omitempty"`
	How    string `cbor:"3,keyasint,omitempty"` // call, email, letter …
}
