package config

import (
	"fmt"
	"strings"
	"time"

	"sallyport"
)

// Local is somebody's hour and weekday at a time, and whether he is on shift then.
func (c *Config) Local(who sallyport.Staff, at time.Time) (hour, weekday int64, onShift bool) {
	person := c.People[string(who)]
	local := at
	if zone, err := person.zone(); err == nil {
		local = at.In(zone)
	}
	onShift = true
	if shift, err := person.hours(); err == nil && shift != nil {
		onShift = shift.holds(local)
	}
	return int64(local.Hour()), int64((local.Weekday()+6)%7) + 1, onShift
}

// zone is the person's time zone.
func (p *Person) zone() (*time.Location, error) {
	if p.Timezone == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(p.Timezone)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q; expected one such as Europe/Berlin", p.Timezone)
	}
	return zone, nil
}

// shift is a working time, in minutes of the day.
type shift struct{ from, to int }

// hours reads the person's working time; nil: always.
func (p *Person) hours() (*shift, error) {
	if p.Shift == "" {
		return nil, nil
	}
	wrong := fmt.Errorf("%q is no working time; expected one such as 08:00-16:00", p.Shift)
	from, to, ok := strings.Cut(p.Shift, "-")
	if !ok {
		return nil, wrong
	}
	var s shift
	for text, minutes := range map[string]*int{from: &s.from, to: &s.to} {
		at, err := time.Parse("15:04", strings.TrimSpace(text))
		if err != nil {
			return nil, wrong
		}
		*minutes = at.Hour()*60 + at.Minute()
	}
	return &s, nil
}

// holds tells whether a moment is within the shift, which may go over midnight.
func (s *shift) holds(t time.Time) bool {
	m := t.Hour()*60 + t.Minute()
	if s.from <= s.to {
		return s.from <= m && m < s.to
	}
	return m >= s.from || m < s.to
}
