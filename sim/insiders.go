package sim

// steal plans what an insider does on a day.
func (c *Company) steal(in *Insider, d int) {
	who := in.people[0]
	a := &c.agents[who]
	if d < in.Day {
		return
	}
	works := a.weight[d] > 0
	switch in.Scheme {
	case Pair:
		c.share(in, d)
	case Stolen:
		if d == in.Day {
			c.intrude(d, who, a, int(in.Rate))
		}
	case Negligent:
		if d == in.Day {
			at := c.hourOf(d, a)
			c.will(act{at: at, what: look, who: who, customer: 1 + c.random.Int64N(c.Profile.Customers), count: int32(in.Rate), theft: true, text: "report"})
			c.will(act{at: at + 20*minuteMS, what: warns, who: who, text: "mail", theft: true})
		}
	case Exporter:
		if works && d < in.Day+10 && (d-in.Day)%3 == 0 {
			c.export(c.hourOf(d, a), who, int(in.Rate)/4, false)
		}
	case Seller, Snooper, Mimic:
		if !works {
			return
		}
		switch n := c.poisson(in.Rate); in.Scheme {
		case Seller:
			c.take(d, who, n)
		case Snooper:
			for range n {
				c.will(act{at: c.hourOf(d, a), what: look, who: who, customer: c.famous(), theft: true})
			}
		default:
			c.pretend(d, who, n)
		}
	}
}

// share lets both of a pair take some; now and then one does it at the other's device.
func (c *Company) share(in *Insider, d int) {
	for _, i := range in.people {
		if c.agents[i].weight[d] == 0 {
			continue
		}
		n := c.poisson(in.Rate)
		c.take(d, i, n)
		if i != in.people[0] && n > 0 && c.random.Float64() < 0.3 {
			c.will(act{at: c.hourOf(d, &c.agents[i]), what: look, who: i, customer: 1 + c.random.Int64N(c.Profile.Customers), theft: true, shared: true})
		}
	}
}

// intrude is somebody else who guesses, gets in from elsewhere in the evening, and takes what he can.
func (c *Company) intrude(d, who int, a *agent, n int) {
	at := int64(d)*msPerDay + int64(a.to+200)*minuteMS
	for i := range int64(6) {
		c.will(act{at: at - (10-i)*minuteMS, what: guesses, who: who})
	}
	c.will(act{at: at, what: logsIn, who: who, foreign: true})
	c.export(at+minuteMS, who, n, true)
}

// take is looking at customers one by one, between other work.
func (c *Company) take(d, who, n int) {
	for range n {
		c.will(act{at: c.hourOf(d, &c.agents[who]), what: look, who: who, customer: 1 + c.random.Int64N(c.Profile.Customers), theft: true})
	}
}

// pretend opens a ticket for each customer, which is closed soon and unanswered.
func (c *Company) pretend(d, who, n int) {
	for range n {
		at := c.hourOf(d, &c.agents[who])
		customer := 1 + c.random.Int64N(c.Profile.Customers)
		c.tickets++
		c.will(act{at: at, what: opens, who: who, ticket: c.tickets, customer: customer, text: c.staff[who].Team, theft: true})
		c.will(act{at: at + 1000, what: assigned, who: who, ticket: c.tickets, theft: true})
		c.will(act{at: at + 20_000, what: look, who: who, ticket: c.tickets, customer: customer, claim: true, theft: true})
		c.will(act{at: at + 10*minuteMS, what: closes, ticket: c.tickets, theft: true})
	}
}

// export is many customers in statements of fifty, five seconds apart.
func (c *Company) export(at int64, who, n int, foreign bool) {
	const each = 50
	for i := 0; i < n; i += each {
		c.will(act{at: at + int64(i/each)*5000, what: look, who: who, customer: 1 + c.random.Int64N(c.Profile.Customers), count: each, theft: true, foreign: foreign, text: "export"})
	}
}

func (c *Company) famous() int64 {
	n := int64(0)
	for _, ch := range c.Watched[c.random.IntN(len(c.Watched))] {
		n = n*10 + int64(ch-'0')
	}
	return n
}
