package command

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/calendar"
)

// calendarCommand makes `alipayai calendar`.
func calendarCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calendar",
		Short: "Prints which keys providers have, when they end, and what the last checks said",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printAdmin(cmd, http.MethodGet, CalendarPath, writeCalendars)
		},
	}
	adminFlags(cmd)
	return cmd
}

// writeCalendars writes the calendars as tables.
func writeCalendars(to io.Writer, reports map[string]calendar.Status) error {
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		s := reports[name]
		line := fmt.Sprintf("%s: key %d signs", name, s.Signing)
		if s.Next != nil {
			line += fmt.Sprintf(", next end: %s on %s (%s)", s.Next.What, day(s.Next.At), s.Next.State)
		}
		if s.Away {
			line += ", the store does not answer"
		}
		if _, err := fmt.Fprintln(to, line); err != nil {
			return err
		}
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "  KEY\tSTATE\tSINCE\tAGE\tENDS\tLAST CHECK\tRESULT\tHTTP\tLATENCY\tSKEW\tTLS ENDS")
		for _, k := range s.Keys {
			_, _ = fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\t%s\n", k.Version, k.State, day(k.Since), days(k), day(k.Ends), checkColumns(k.Last))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// none stands in a table for what there is none of.
const none = "-"

func day(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.DateOnly)
}

// days is how old a key is.
func days(k calendar.KeyStatus) string {
	if k.Since.IsZero() {
		return none
	}
	return fmt.Sprintf("%dd", k.Age/int64((24*time.Hour).Seconds()))
}

// checkColumns are the columns of a check, which may be none.
func checkColumns(c *calendar.Check) string {
	if c == nil {
		return "-\t-\t-\t-\t-\t-"
	}
	result := "taken"
	switch {
	case c.Refused:
		result = "refused: " + c.Code
	case !c.Taken:
		result = "failed: " + c.Code
	}
	return fmt.Sprintf("%s\t%s\t%s\t%v\t%v\t%s", c.At.UTC().Format(time.RFC3339), result, cmp.Or(c.Protocol, none),
		c.Latency.Round(time.Millisecond), c.Skew.Round(time.Millisecond), day(c.CertificateEnds))
}
