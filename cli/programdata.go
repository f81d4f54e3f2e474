package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program/reports"
	"sallyport/serve"
)

// programFlags are what reports need that are made from files and a record, or asked of a running serve.
type programFlags struct {
	config, data, keyFile string
	days                  int
	json                  bool
	control               controlFlags
}

func (f *programFlags) add(m *Main, flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "config", "sallyport.yaml", "configuration `FILE`: people, columns, policies")
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` in which no serve runs, or a copy of one; with --as that of the running serve")
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with the key that opens the keys, where the record is encrypted")
	flags.IntVar(&f.days, "days", 90, "how many `DAYS` back")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.control.m = m
	f.control.logInFlags(flags)
}

// live tells whether a running serve is asked: somebody logs in to it, or says where it is.
func (f *programFlags) live() bool {
	return f.control.as != "" || f.control.server != "" || f.control.socket != ""
}

// howReports is what every report's help says of where it comes from.
const howReports = `
Reads the data folder while no serve runs in it, or a copy. With --as (or --server, --control) it is asked of the running serve, by whoever may investigate: people then
stand in it by pseudonym, and that you asked is itself recorded.`

// programReport makes a report, here or there, and shows it.
func (m *Main) programReport(cmd *cobra.Command, f *programFlags, q *api.ReportQuestion, show func(found json.RawMessage) error) error {
	if f.days <= 0 {
		return config.Usagef("%d days; expected --days 90, or another number above 0", f.days)
	}
	q.Days = f.days
	if f.live() {
		f.control.data = f.data
		client, err := f.control.client()
		if err != nil {
			return err
		}
		defer client.Close()
		answer, err := client.ProgramReport(cmd.Context(), q)
		if err != nil {
			return err
		}
		return show(answer.Found)
	}
	return serve.WithRecord(cmd.Context(), m.recordPlace(f), func(r *reports.Record) error {
		found, err := r.Report(cmd.Context(), q)
		if err != nil {
			return err
		}
		text, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return show(text)
	})
}

// readReport reads what a report found.
func readReport[T any](found json.RawMessage) (x T, err error) {
	if err := json.Unmarshal(found, &x); err != nil {
		return x, fmt.Errorf("read the report: %w; is the serve of the same release?", err)
	}
	return x, nil
}

func (m *Main) recordPlace(f *programFlags) *serve.RecordPlace {
	return &serve.RecordPlace{Config: f.config, Data: f.data, KeyFile: f.keyFile, Getenv: m.Getenv}
}
