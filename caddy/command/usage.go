package command

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// Usage is what of the ledger is asked for: see [ParseUsage].
type Usage struct {
	ledger.Query
	by     ledger.By
	lines  bool
	format ledger.Format
}

// byLines asks for the lines themselves, of which there are defaultLimit at most where the query does not say, and never more
// than mostLines: an answer is in memory.
const (
	byLines      = "lines"
	defaultLimit = 1000
	mostLines    = 1_000_000
)

// MoreHeader is the field of an answer that has fewer lines than were asked for, by its limit, and RowsHeader says how many
// rows or lines it has.
const (
	MoreHeader = "X-Alipayai-More"
	RowsHeader = "X-Alipayai-Rows"
)

// ParseUsage reads a query of the admin API, which is the command's as well: by (tenant, provider, model or day; or lines), from
// and to (days, as 2026-11-28), tenant, provider and model, limit (of lines), and format (json, csv or table). The error says
// which of them is none.
func ParseUsage(v url.Values) (q Usage, err error) {
	q.Tenant, q.Provider, q.Model = v.Get("tenant"), v.Get("provider"), v.Get("model")
	q.From, q.To = v.Get("from"), v.Get("to")
	for name, day := range map[string]string{"from": q.From, "to": q.To} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return q, fmt.Errorf("%s %q is no day; write it like 2026-11-28", name, day)
		}
	}
	if q.From > q.To && q.To != "" {
		return q, fmt.Errorf("from %q is after to %q; swap them", q.From, q.To)
	}
	q.Limit = defaultLimit
	if limit := v.Get("limit"); limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 || q.Limit > mostLines {
			return q, fmt.Errorf("limit %q is not a number from 1 to %d", limit, mostLines)
		}
	}
	q.format = ledger.FormatJSON
	if format := v.Get("format"); format != "" {
		if q.format, err = ledger.ParseFormat(format); err != nil {
			return q, err
		}
	}
	switch by := v.Get("by"); by {
	case byLines:
		q.lines = true
	case "":
		q.by = ledger.ByDay
	default:
		q.by, err = ledger.ParseBy(by)
	}
	return q, err
}

// values writes the query as ParseUsage reads it.
func (q Usage) values() url.Values {
	v := url.Values{"format": {string(q.format)}, "by": {string(q.by)}}
	if q.lines {
		v.Set("by", byLines)
	}
	for name, value := range map[string]string{"from": q.From, "to": q.To, "tenant": q.Tenant, "provider": q.Provider, "model": q.Model} {
		if value != "" {
			v.Set(name, value)
		}
	}
	v.Set("limit", strconv.Itoa(q.Limit))
	return v
}

// Report writes what is asked for. Before that it says to counted how many rows or lines there are, and whether there are
// more lines beyond the limit.
func (q Usage) Report(ctx context.Context, w io.Writer, source ledger.Source, counted func(rows int, more bool)) error {
	if q.lines {
		limit := q.Limit
		q.Limit++
		lines, err := source.Lines(ctx, q.Query)
		if err != nil {
			return err
		}
		more := len(lines) > limit
		lines = lines[:min(len(lines), limit)]
		counted(len(lines), more)
		return ledger.WriteLines(w, lines, q.format)
	}
	rows, err := q.rows(ctx, source)
	if err != nil {
		return err
	}
	counted(len(rows), false)
	return ledger.WriteRows(w, rows, q.by, q.format)
}

// rows are those of a report.
func (q Usage) rows(ctx context.Context, source ledger.Source) ([]ledger.Row, error) {
	totals, err := source.Totals(ctx, q.Query)
	if err != nil {
		return nil, err
	}
	return ledger.Rows(ledger.Summarise(totals, q.by)), nil
}

// Format is the form of the report.
func (q Usage) Format() ledger.Format { return q.format }
