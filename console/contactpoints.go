package console

import (
	"net/mail"
	"net/url"
	"slices"
	"strings"
)

// ContactPoints are how a company is really reached.
type ContactPoints struct {
	Company string   `json:"organisation"`
	Phones  []string `json:"phones"`
	Mails   []string `json:"mails"`
	Domains []string `json:"domains"` // theirs, and all below
}

// Has tells whether a telephone number, an address or a domain is one of these. What may be read in two ways is none: a browser takes
// evil.test/@example.org and https://evil.test?@example.org to evil.test.
func (c *ContactPoints) Has(sender string) bool {
	sender = strings.ToLower(strings.TrimSpace(sender))
	if strings.Trim(sender, "+0123456789 -/().") == "" {
		return slices.ContainsFunc(c.Phones, func(phone string) bool { return samePhone(phone, sender) })
	}
	host := hostOf(sender)
	if strings.Contains(sender, "@") && host == "" {
		at, err := mail.ParseAddress(strings.TrimPrefix(sender, "mailto:"))
		if err != nil || strings.ContainsAny(at.Address, `/\?#:%`) {
			return false
		}
		if slices.ContainsFunc(c.Mails, func(m string) bool { return strings.EqualFold(m, at.Address) }) {
			return true
		}
		host = at.Address[strings.LastIndexByte(at.Address, '@')+1:]
	}
	host = strings.TrimSuffix(host, ".")
	return slices.ContainsFunc(c.Domains, func(d string) bool {
		d = strings.ToLower(d)
		return host == d || strings.HasSuffix(host, "."+d)
	})
}

// hostOf is the host of a page's address, with https:// or without; empty: this is none, or not surely.
func hostOf(sender string) string {
	if !strings.Contains(sender, "://") {
		sender = "https://" + sender
	}
	if strings.ContainsAny(sender, "\\%\"<> \t\r\n") {
		return ""
	}
	u, err := url.Parse(sender)
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.Contains(sender, "@") && u.Path+u.RawQuery+u.Fragment == "" {
		return ""
	}
	return u.Hostname()
}

// samePhone tells whether somebody typed a number of ours: as it is called from abroad (+, 00), or from within its country (one 0, no code of a country).
func samePhone(ours, typed string) bool {
	ours, abroad := digitsOf(ours)
	typed, typedAbroad := digitsOf(typed)
	if len(typed) < 6 {
		return false
	}
	if within, ok := strings.CutPrefix(typed, "0"); ok && abroad && !typedAbroad {
		code := len(ours) - len(within)
		return code >= 1 && code <= 3 && strings.HasSuffix(ours, within)
	}
	return ours == typed
}

// digitsOf writes 0049, +49 and +49 (0) alike, and tells whether it begins with the code of a country.
func digitsOf(s string) (digits string, abroad bool) {
	abroad = strings.HasPrefix(strings.TrimSpace(s), "+")
	if abroad {
		s = strings.ReplaceAll(s, "(0)", "")
	}
	digits = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if rest, ok := strings.CutPrefix(digits, "00"); ok {
		return rest, true
	}
	return digits, abroad
}
