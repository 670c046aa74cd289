package ledger

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// GroupTotals are the totals of a group.
type GroupTotals struct {
	Group
	Totals
}

// By is what a report has a row for, besides each currency.
type By string

// The ways to group.
const (
	ByTenant   By = "tenant"
	ByProvider By = "provider"
	ByModel    By = "model"
	ByDay      By = "day"
)

// ParseBy reads one of them.
func ParseBy(text string) (By, error) {
	switch by := By(text); by {
	case ByTenant, ByProvider, ByModel, ByDay:
		return by, nil
	}
	return "", fmt.Errorf("%q is nothing that a report has rows for; use tenant, provider, model or day", text)
}

// of gives the group's part that by names. Models of two providers are two.
func (by By) of(g Group) Group {
	switch by {
	case ByTenant:
		return Group{Tenant: g.Tenant, Currency: g.Currency}
	case ByProvider:
		return Group{Provider: g.Provider, Currency: g.Currency}
	case ByModel:
		return Group{Provider: g.Provider, Model: g.Model, Currency: g.Currency}
	default:
		return Group{Day: g.Day, Currency: g.Currency}
	}
}

// Summarise adds totals up, with a row for each of what by names, sorted.
func Summarise(totals []GroupTotals, by By) []GroupTotals {
	rows := make(map[Group]Totals)
	for _, t := range totals {
		g := by.of(t.Group)
		sum := rows[g]
		sum.Add(t.Totals)
		rows[g] = sum
	}
	found := make([]GroupTotals, 0, len(rows))
	for g, t := range rows {
		found = append(found, GroupTotals{g, t})
	}
	slices.SortFunc(found, func(a, b GroupTotals) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Provider, b.Provider),
			cmp.Compare(a.Model, b.Model), cmp.Compare(a.Currency, b.Currency))
	})
	return found
}

// Row is a row of a report as it is shown: amounts are decimals.
type Row struct {
	Day             string         `json:"day,omitempty"`
	Tenant          string         `json:"tenant,omitempty"`
	Provider        string         `json:"provider,omitempty"`
	Model           string         `json:"model,omitempty"`
	Currency        price.Currency `json:"currency"`
	Attempts        int64          `json:"attempts"`
	Prompt          int64          `json:"prompt_tokens"`
	Cached          int64          `json:"cached_tokens"`
	Completion      int64          `json:"completion_tokens"`
	Amount          string         `json:"amount"`
	Floor           string         `json:"floor"`
	Estimated       string         `json:"estimated"`
	Unknown         string         `json:"unknown_at_most"`
	UnknownAttempts int64          `json:"unknown_attempts"`
}

// Rows makes rows of totals.
func Rows(totals []GroupTotals) []Row {
	rows := make([]Row, len(totals))
	for i, t := range totals {
		rows[i] = Row{
			Day: t.Day, Tenant: t.Tenant, Provider: t.Provider, Model: t.Model, Currency: t.Currency,
			Attempts: t.Attempts, Prompt: t.Prompt, Cached: t.Cached, Completion: t.Completion,
			Amount: t.Amount.String(), Floor: t.Floor.String(), Estimated: t.Estimated.String(),
			Unknown: t.Unknown.String(), UnknownAttempts: t.UnknownAttempts,
		}
	}
	return rows
}

// Format is how a report is written.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatCSV   Format = "csv"
	FormatJSON  Format = "json"
)

// ParseFormat reads one of them.
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case FormatTable, FormatCSV, FormatJSON:
		return f, nil
	}
	return "", fmt.Errorf("%q is no format of a report; use table, csv or json", text)
}

// WriteRows writes the rows of a report by by.
func WriteRows(w io.Writer, rows []Row, by By, format Format) error {
	if format == FormatJSON {
		return writeJSON(w, rows)
	}
	head := []string{string(by)}
	if by == ByModel {
		head = []string{"provider", "model"}
	}
	head = append(head, "currency", "attempts", "prompt_tokens", "cached_tokens", "completion_tokens",
		"amount", "floor", "estimated", "unknown_at_most", "unknown_attempts")
	cells := make([][]string, 0, len(rows))
	for _, r := range rows {
		named := []string{r.Day + r.Tenant + r.Provider}
		if by == ByModel {
			named = []string{r.Provider, r.Model}
		}
		currency := string(r.Currency)
		if currency == "" {
			currency = "unpriced"
		}
		cells = append(cells, append(named, currency, number(r.Attempts), number(r.Prompt), number(r.Cached), number(r.Completion),
			r.Amount, r.Floor, r.Estimated, r.Unknown, number(r.UnknownAttempts)))
	}
	return writeCells(w, head, cells, format)
}

// WriteLines writes lines.
func WriteLines(w io.Writer, lines []Line, format Format) error {
	if format == FormatJSON {
		return writeJSON(w, lines)
	}
	head := []string{"time", "request_id", "tenant", "provider", "model", "prompt_tokens", "cached_tokens", "completion_tokens",
		"characters_charged", "currency", "amount", "floor", "packed_with", "outcome"}
	cells := make([][]string, 0, len(lines))
	for _, l := range lines {
		cells = append(cells, []string{
			l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.RequestID, l.Tenant, l.Provider, l.Model,
			number(l.Prompt), number(l.Cached), number(l.Completion), number(l.Characters),
			string(l.Currency), l.Amount.String(), l.Floor.String(), strconv.Itoa(l.PackedWith), string(l.Outcome),
		})
	}
	return writeCells(w, head, cells, format)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func writeJSON[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

func writeCells(w io.Writer, head []string, rows [][]string, format Format) error {
	if format == FormatCSV {
		out := csv.NewWriter(w)
		if err := out.Write(head); err != nil {
			return err
		}
		for _, row := range rows {
			for i := range row {
				row[i] = inert(row[i])
			}
		}
		return out.WriteAll(rows)
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			if i > 0 {
				_, _ = io.WriteString(out, "\t")
			}
			_, _ = io.WriteString(out, cell)
		}
		_, _ = io.WriteString(out, "\n")
	}
	return out.Flush()
}

// inert keeps a spreadsheet from taking a name for a formula, also behind white space and in full width: clients choose
// the names of models, and not every operator those of tenants (owasp.org/www-community/attacks/CSV_Injection).
func inert(cell string) string {
	if begins := strings.TrimSpace(cell); begins != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(begins)[0]) {
		return "'" + cell
	}
	return cell
}
