package config

// TrainingConfig says whether people are given lessons for mistakes, and where other systems send courses and phishing tests (docs/programme.md#training).
// What overdue training lowers is for policies to say.
type TrainingConfig struct {
	Lessons    bool   `yaml:"lessons"`     // give short lessons for mistakes; the works council should know
	After      int    `yaml:"after"`       // so many refusals of one kind within 30 days assign a lesson; 0: 3. A phishing test that somebody fell for does so at once
	Days       int    `yaml:"days"`        // within which a lesson is due; 0: 14
	Wait       int    `yaml:"wait"`        // days that half of those who are to learn something wait, by a draw, so that it can be measured what lessons change. 0: nobody waits, and it cannot
	SecretFile string `yaml:"secret_file"` // one line, mode 0600, 32 characters or more: the key of signed messages at /training of reports.listen. Empty: none are taken
}

func (c *TrainingConfig) check(r *Document, reports *ReportsConfig) {
	for name, n := range map[string]int{"after": c.After, "days": c.Days, "wait": c.Wait} {
		if n < 0 || n > 365 {
			r.problemAt("training."+name, "%d; expected 1 to 365, or 0 for the default", n)
		}
	}
	if c.SecretFile != "" && reports.Listen == "" {
		r.problemAt("training.secret_file", "nothing listens for signed messages; expected reports.listen, too")
	}
	if c.SecretFile != "" && c.SecretFile == reports.SecretFile {
		r.problemAt("training.secret_file", "this is the secret of reports; expected another one: who may tell of courses need not report for customers")
	}
}
