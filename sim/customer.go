package sim

import (
	"strconv"
	"strings"
	"time"
)

// Customer is a row of support.customers. Empty fields are null in the database.
type Customer struct {
	ID        int64
	FullName  string
	Email     string
	Phone     string // E.164; empty: unknown
	BirthDate time.Time
	Country   string
	Plan      string
	Notes     string
	CreatedAt time.Time
	Segment   string
}

// Customer is the customer with that id, from 1 to o.Customers.
func (o *Org) Customer(id int64) Customer {
	d := o.dice(forCustomer, id)
	at := &o.countries[o.byWeight.take(&d)] // first of all: countryOf throws the same
	first, last := at.first.take(&d), at.last.take(&d)
	c := Customer{ID: id, Country: at.code, FullName: first.written + " " + last.written}
	if d.percent(12) { // a second first name tells namesakes apart, as in life
		c.FullName = first.written + " " + at.first.take(&d).written + " " + last.written
	}
	c.Email = email(&d, first.ascii, last.ascii, id)
	if !d.percent(8) {
		c.Phone = phone(at, id)
	}
	if !d.percent(5) {
		// Ages 18 to 85, most between 30 and 60: the mean of two throws.
		days := (d.between(18*365, 85*365) + d.between(18*365, 85*365)) / 2
		c.BirthDate = o.Now.Truncate(24*time.Hour).AddDate(0, 0, -int(days))
	}
	c.Plan, c.Segment = "home", "consumer"
	switch throw := d.below(100); {
	case throw < 1:
		c.Plan, c.Segment = "enterprise", "government"
	case throw < 12:
		c.Plan, c.Segment = "business", "business"
	case throw < 45:
		c.Plan = "family"
	case throw < 60:
		c.Plan = "mobile"
	}
	// All customers are older than the oldest ticket.
	sinceFirst := time.Duration(float64(8*year) * float64(id) / float64(o.Customers))
	c.CreatedAt = o.Now.Add(-history - 8*year + sinceFirst - time.Duration(d.below(86_400))*time.Second)
	if d.percent(35) {
		c.Notes = quote(pick(&d, o.phrases["note"]), &c, "")
	}
	return c
}

// countryOf is the country of a customer without the rest of the row.
func (o *Org) countryOf(id int64) *country {
	d := o.dice(forCustomer, id)
	return &o.countries[o.byWeight.take(&d)]
}

const (
	year    = 365 * 24 * time.Hour
	history = 2 * year // how far back tickets go
)

// email makes an address that no other customer has: names hold no digits, and the number is the customer's alone.
func email(d *dice, first, last string, id int64) string {
	var b strings.Builder
	b.Grow(48)
	switch d.below(4) {
	case 0:
		b.WriteString(first[:1])
		b.WriteString(last)
	case 1:
		b.WriteString(first)
		b.WriteByte('_')
		b.WriteString(last)
	default:
		b.WriteString(first)
		b.WriteByte('.')
		b.WriteString(last)
	}
	b.WriteString(strconv.FormatInt(id, 10))
	switch throw := d.below(100); {
	case throw < 40:
		b.WriteString("@mail.example")
	case throw < 65:
		b.WriteString("@post.example")
	case throw < 85:
		b.WriteString("@inbox.example")
	case throw < 95:
		b.WriteString("@web.example")
	default:
		b.WriteString("@corporate-mail.example")
	}
	return b.String()
}

// phone is a number that no other customer of the country has while its range has room.
func phone(at *country, id int64) string {
	room := int64(1)
	for range at.digits {
		room *= 10
	}
	n := (id*7_368_787 + 271_828) % room // 7,368,787 is odd and no multiple of 5: a bijection
	digits := strconv.FormatInt(room+n, 10)
	return at.phone + digits[1:]
}

// quote fills a sentence with the customer's data.
func quote(sentence string, c *Customer, ticketNo string) string {
	if !strings.Contains(sentence, "{") {
		return sentence
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(sentence, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		what, after, _ := strings.Cut(rest, "}")
		b.WriteString(c.said(what, ticketNo))
		sentence = after
	}
}

// said is a datum as the customer would write it.
func (c *Customer) said(what, ticketNo string) string {
	switch what {
	case "name":
		return c.FullName
	case "email":
		return c.Email
	case "phone":
		if c.Phone == "" {
			return "my usual number"
		}
		return c.Phone
	case "born":
		if c.BirthDate.IsZero() {
			return "as you have it"
		}
		return c.BirthDate.Format(time.DateOnly)
	}
	return ticketNo
}
