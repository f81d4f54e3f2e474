package main

import "sallyport"

type catalogConfig struct {
	Customer struct {
		Table string `yaml:"table"`
		Key   string `yaml:"key"`
	} `yaml:"customer"`
	Columns map[string]struct {
		Class    sallyport.Class   `yaml:"class"`
		Scheme   sallyport.Scheme  `yaml:"scheme"`
		Prefixes map[string]string `yaml:"prefixes"`
	} `yaml:"columns"`
	Paths       map[string]string `yaml:"paths"`
	EmailDomain string            `yaml:"email_domain"`
}

type purposeConfig struct {
	Ticket struct {
		Table    string   `yaml:"table"`
		ID       string   `yaml:"id"`
		Number   string   `yaml:"number"`
		Customer string   `yaml:"customer"`
		Assignee string   `yaml:"assignee"`
		State    string   `yaml:"state"`
		Open     []string `yaml:"open"`
		OpenedAt string   `yaml:"opened_at"`
		Routers  []string `yaml:"routers"`
	} `yaml:"ticket"`
	Contact struct {
		Table string `yaml:"table"`
	} `yaml:"contact"`
}

type exposureBudget struct {
	Hour  int `yaml:"hour"`
	Day   int `yaml:"day"`
	Month int `yaml:"month"`
}

type exposureBudgets struct {
	Revealed exposureBudget `yaml:"revealed"`
	Reached  exposureBudget `yaml:"reached"`
	Probed   exposureBudget `yaml:"probed"`
}
