package exposure

// Measure is what is counted.
type Measure string

// The measures: distinct customers shown in plain, distinct customers whose rows were returned without a purpose, and distinct
// values that somebody had tokenised outside his purpose.
const (
	Revealed Measure = "revealed"
	Reached  Measure = "reached"
	Probed   Measure = "probed"
)

// Scope is what those have in common for whom a count is kept.
type Scope string

// The scopes. Customers are counted once in each of them, however many people they were revealed to.
const (
	Person      Scope = ""            // one person, or one service by itself
	Team        Scope = "team"        // of a person or a service
	Service     Scope = "service"     // that is there itself, or that acts for people
	Application Scope = "application" // by the name that it gives itself
	Device      Scope = "device"
	Country     Scope = "country"
	Purpose     Scope = "purpose" // its kind
)

// Scopes are those that several share.
func Scopes() []Scope { return []Scope{Team, Service, Application, Device, Country, Purpose} }

// Unknown is the name in its scope of what is not known.
const Unknown = "unknown"

// Budget is how many distinct keys one person may have in each sliding window. Zero stands for the default, a negative number
// for none at all.
type Budget struct {
	Hour  int `yaml:"hour"`  // within 60 minutes
	Day   int `yaml:"day"`   // within 24 hours
	Month int `yaml:"month"` // 30 days
}

// Over fills what b leaves open from base.
func (b Budget) Over(base Budget) Budget {
	if b.Hour == 0 {
		b.Hour = base.Hour
	}
	if b.Day == 0 {
		b.Day = base.Day
	}
	if b.Month == 0 {
		b.Month = base.Month
	}
	return b
}

// Budgets are one person's budgets by measure.
type Budgets struct {
	Revealed Budget `yaml:"revealed"` // customers of whom something was readable
	Reached  Budget `yaml:"reached"`  // customers whose rows were returned without a reason, readable or not
	Probed   Budget `yaml:"probed"`   // distinct values that were tokenised without a reason
}

// Default is what holds where nothing is configured.
func Default() Budgets {
	return Budgets{
		Revealed: Budget{Hour: 200, Day: 200, Month: 2_000},
		Reached:  Budget{Hour: 5_000, Day: 5_000, Month: 50_000},
		Probed:   Budget{Hour: 50, Day: 50, Month: 500},
	}
}

// Over fills what b leaves open from base.
func (b Budgets) Over(base Budgets) Budgets {
	return Budgets{
		Revealed: b.Revealed.Over(base.Revealed),
		Reached:  b.Reached.Over(base.Reached),
		Probed:   b.Probed.Over(base.Probed),
	}
}

// Of is the budget for one measure. An unknown measure has none.
func (b Budgets) Of(m Measure) Budget {
	switch m {
	case Revealed:
		return b.Revealed
	case Reached:
		return b.Reached
	case Probed:
		return b.Probed
	}
	return Budget{Hour: -1, Day: -1, Month: -1}
}
