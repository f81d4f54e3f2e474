package catalog

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"sallyport/query"
)

// spreadRisk finds the views that have to do with protected columns and the functions that may touch them, each through the other:
// a view may call a function that mentions a view. Functions are read as words, not parsed: what a word may mean counts as meant.
func (b *builder) spreadRisk() {
	words := map[uint32]map[string]bool{}
	b.spoken = map[string]struct{}{}
	for _, f := range b.raw.functions {
		if f.Far {
			b.fearFar(f)
			continue
		}
		words[f.OID] = wordsOf(f.Source)
		for word := range words[f.OID] {
			b.spoken[word] = struct{}{}
		}
		if why := suspicious(f, words[f.OID]); why != "" {
			b.risks[f.OID] = why
		}
	}
	for changed := true; changed; {
		changed = b.heatViews()
		changed = b.spreadTypes() || changed
		names := b.hotNames()
		for _, f := range b.raw.functions {
			if b.risks[f.OID] != "" || f.Far {
				continue
			}
			if why := mentioned(names, f.Source, words[f.OID]); why != "" {
				b.risks[f.OID] = why
				changed = true
			}
		}
	}
}

// fearFar takes a function of an extension for risky where columns are masked: it may read them. Of tokens it can tell nothing.
func (b *builder) fearFar(f rawFunction) {
	if b.heatsMasks {
		b.risks[f.OID] = "comes with the extension " + f.Source + ", which is not looked into"
	}
}

// heatViews marks views over hot relations and risky functions, and says whether there were new ones.
func (b *builder) heatViews() (changed bool) {
	for again := true; again; {
		again = false
		for _, v := range b.relations {
			if v.hot || !slices.ContainsFunc(v.uses, b.isHot) {
				continue
			}
			v.hot, again, changed = true, true, true
		}
	}
	return changed
}

func (b *builder) isHot(u rawUse) bool {
	below := b.relations[u.Relation]
	return below != nil && below.hot || b.risks[u.Function] != ""
}

// hotNames are the names, in lower case, whose mention makes a function risky, each with the reason.
func (b *builder) hotNames() map[string]string {
	names := map[string]string{}
	if b.heatsMasks {
		for _, name := range statistics() {
			names[name] = "reads " + name + ", which may show masked values"
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(b.relations)) {
		if r := b.relations[oid]; r.hot {
			names[strings.ToLower(r.Name)] = "mentions " + r.table().String()
		}
	}
	for _, f := range b.raw.functions {
		if b.risks[f.OID] != "" {
			names[strings.ToLower(f.Name)] = "calls " + f.Schema + "." + f.Name
		}
	}
	for _, t := range b.raw.typeNames {
		if b.typeRisks[t.OID] != "" {
			names[strings.ToLower(t.Name)] = "mentions " + b.typeName(t.OID)
		}
	}
	for _, o := range b.raw.operators {
		if b.risks[o.Function] != "" {
			names[o.Name] = "mentions the operator " + o.Schema + "." + o.Name
		}
	}
	return names
}

// suspicious says why nobody can tell what a function does, empty where its text shows it.
func suspicious(f rawFunction, words map[string]bool) string {
	if f.Language != "sql" && f.Language != "plpgsql" && !f.Aggregate { // an aggregate's text names its functions
		return "is written in " + f.Language + ", which is not looked into"
	}
	for _, word := range dynamicWords() {
		if words[word] {
			return "runs SQL that it makes up (" + word + ")"
		}
	}
	if strings.Contains(strings.ToLower(f.Source), `u&"`) {
		return `spells names in a hidden way (U&"…")`
	}
	return ""
}

// dynamicWords run a text as SQL, in PL/pgSQL or through functions that come with PostgreSQL.
func dynamicWords() []string {
	return []string{
		"execute", "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "cursor_to_xml", "cursor_to_xmlschema",
		"table_to_xml", "table_to_xmlschema", "table_to_xml_and_xmlschema", "schema_to_xml", "schema_to_xml_and_xmlschema",
		"database_to_xml", "database_to_xml_and_xmlschema", "ts_stat", "ts_rewrite", "dblink", "dblink_exec", "dblink_open", "dblink_send_query",
	}
}

// wordsOf are the identifiers of a text in lower case.
func wordsOf(source string) map[string]bool {
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.ToLower(source), func(c rune) bool { return !identifierRune(c) }) {
		words[word] = true
	}
	return words
}

// identifierRune follows PostgreSQL's scan.l: letters, digits, underscore, dollar, and everything beyond ASCII.
func identifierRune(c rune) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// mentioned returns the reason of a name that stands in a text. Names that are no plain identifiers are looked for as they are.
func mentioned(names map[string]string, source string, words map[string]bool) string {
	var found []string
	for name, why := range names {
		if mentions(name, source, words) {
			found = append(found, why)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found) // the same sentence for the same database
}

func mentions(name, source string, words map[string]bool) bool {
	if strings.ContainsFunc(name, func(c rune) bool { return !identifierRune(c) }) {
		return strings.Contains(strings.ToLower(source), strings.ReplaceAll(name, `"`, `""`))
	}
	return words[name]
}

const firstOwn = 16384 // firstNormal

// functionRisks are the functions of the database by unqualified lower-case name. Of several with one name the risky one counts.
func (b *builder) functionRisks() map[string]query.FunctionRisk {
	risks := map[string]query.FunctionRisk{}
	for _, f := range b.raw.functions {
		name := strings.ToLower(f.Name)
		if why := b.risks[f.OID]; why != "" {
			risks[name] = query.FunctionRisk{Writes: true, Why: f.Schema + "." + f.Name + " " + why}
		} else if _, known := risks[name]; !known && f.OID >= firstOwn && !f.Far {
			risks[name] = query.FunctionRisk{}
		}
	}
	b.addRisks(risks)
	return risks
}

// findSmugglers marks the relations where a plain value that is written may end up in a protected column: what runs on a write is
// risky. A protected table is not marked, since what its triggers see are tokens already; views are, whatever their outputs.
func (b *builder) findSmugglers() {
	b.findLeaning()
	names := b.hotNames()
	definition := regexp.MustCompile(`(?s)^.*?\sDO\s`) // what stands before names the rule's own relation
	for _, rule := range b.raw.rules {
		action := definition.ReplaceAllString(rule.Definition, "")
		if why := mentioned(names, action, wordsOf(action)); why != "" {
			b.smuggle(b.relations[rule.Relation], rule.Name+" "+why)
		}
	}
	b.spreadSmuggling()
}

// smuggle marks one relation, and everything that it is a part of: a row written to the parent runs the part's triggers.
func (b *builder) smuggle(r *relation, why string) {
	if r == nil || why == "" || r.smuggles != "" || !r.isView() && r.protects() && !b.heatsMasks {
		return
	}
	r.smuggles = why
	for _, parent := range r.parents {
		b.smuggle(parent, why)
	}
}

// spreadSmuggling marks views over marked relations: many are updatable, and then their writes run what lies underneath. So it does the tables
// whose foreign keys write marked ones.
func (b *builder) spreadSmuggling() {
	for again := true; again; {
		again = b.spreadActions()
		for _, oid := range slices.Sorted(maps.Keys(b.relations)) {
			v := b.relations[oid]
			for _, u := range v.uses {
				if below := b.relations[u.Relation]; v.smuggles == "" && below != nil && below.smuggles != "" {
					v.smuggles, again = below.smuggles, true
				}
			}
		}
	}
}

// spreadActions passes on to a table what is set off by the writes of foreign keys that lead to it, and says whether there was anything new. Where
// masked columns are followed, that is also what the server says of a row with such columns that cannot be written.
func (b *builder) spreadActions() (changed bool) {
	for _, f := range b.raw.foreign {
		from, to := b.relations[f.Relation], b.relations[f.References]
		if !f.Acts || from == nil || to == nil || to.smuggles != "" {
			continue
		}
		why := from.smuggles
		if why == "" && b.heatsMasks && from.hot {
			why = "writes " + from.table().String()
		}
		if why != "" {
			b.smuggle(to, f.Name+" "+why)
			changed = changed || to.smuggles != ""
		}
	}
	return changed
}
