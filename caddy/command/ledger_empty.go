package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// maxNamed is how many names are listed where one is unknown.
const maxNamed = 20

// tellEmpty says why a report has no row: rowsBy gives the rows of the whole ledger.
func (f ledgerFlags) tellEmpty(cmd *cobra.Command, rowsBy func(ledger.By) ([]ledger.Row, error)) error {
	days, err := rowsBy(ledger.ByDay)
	if err != nil {
		return err
	}
	if len(days) == 0 {
		cmd.PrintErrln("the ledger has no lines")
		return nil
	}
	for _, filter := range []struct {
		by   ledger.By
		want string
		name func(ledger.Row) string
	}{
		{ledger.ByTenant, f.Tenant, func(r ledger.Row) string { return r.Tenant }},
		{ledger.ByProvider, f.Provider, func(r ledger.Row) string { return r.Provider }},
		{ledger.ByModel, f.Model, func(r ledger.Row) string { return r.Model }},
	} {
		if filter.want == "" {
			continue
		}
		rows, err := rowsBy(filter.by)
		if err != nil {
			return err
		}
		var known []string
		for _, r := range rows {
			known = append(known, filter.name(r))
		}
		if !slices.Contains(known, filter.want) {
			cmd.PrintErrf("the ledger has no lines of %s %q; it has those of %s\n", filter.by, filter.want, listNames(known))
			return nil
		}
	}
	cmd.PrintErrf("the ledger has no such lines; its days are from %s to %s\n", days[0].Day, days[len(days)-1].Day)
	return nil
}

// listNames lists names, quoted where they are not plain, up to maxNamed of them.
func listNames(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	more := ""
	if n := len(names) - maxNamed; n > 0 {
		names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	for i, name := range names {
		if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` || strings.ContainsAny(name, ", ") || name == "" {
			names[i] = quoted
		}
	}
	return strings.Join(names, ", ") + more
}
