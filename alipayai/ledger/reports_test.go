package ledger

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

func TestReports(t *testing.T) {
	rows := Rows(Summarise([]GroupTotals{
		{Group{Day: "2026-11-28", Tenant: "shop", Provider: "alipay", Model: "a", Currency: "CNY"}, Totals{Attempts: 2, Amount: 30_048_000, Floor: 1, Prompt: 7}},
		{Group{Day: "2026-11-29", Tenant: "=shop", Provider: "alipay", Model: "a", Currency: "CNY"}, Totals{Attempts: 1, Amount: price.MaxAmount}},
		{Group{Day: "2026-11-29", Tenant: "shop", Provider: "b", Model: "a"}, Totals{Attempts: 1}},
	}, ByTenant))
	var b bytes.Buffer
	if err := WriteRows(&b, rows, ByTenant, FormatCSV); err != nil {
		t.Fatal(err)
	}
	const want = "tenant,currency,attempts,prompt_tokens,cached_tokens,completion_tokens,amount,floor,estimated,unknown_at_most,unknown_attempts\n" +
		"'=shop,CNY,1,0,0,0,9223372036.854775807,0,0,0,0\n" +
		"shop,unpriced,1,0,0,0,0,0,0,0,0\n" +
		"shop,CNY,2,7,0,0,0.030048,0.000000001,0,0,0\n"
	if b.String() != want {
		t.Errorf("\n got %s\nwant %s", &b, want)
	}
	b.Reset()
	models := Rows(Summarise([]GroupTotals{{Group{Provider: "b", Model: "a", Currency: "USD"}, Totals{Attempts: 1}}}, ByModel))
	if err := WriteRows(&b, models, ByModel, FormatCSV); err != nil || !strings.HasPrefix(b.String(), "provider,model,currency,attempts,") || !strings.Contains(b.String(), "\nb,a,USD,1,") {
		t.Errorf("%s, %v", &b, err)
	}
	b.Reset()
	if err := WriteRows(&b, nil, ByDay, FormatJSON); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("nothing as JSON: %s, %v", &b, err)
	}
	b.Reset()
	if err := WriteLines(&b, []Line{lineAt(noon, "shop", 5)}, FormatTable); err != nil || !strings.Contains(b.String(), "2026-11-28T12:00:00.000Z  req_1") {
		t.Errorf("%s, %v", &b, err)
	}
	// Sums stop at the largest number.
	sum := Totals{Amount: price.MaxAmount}
	if sum.Add(Totals{Amount: 1}); sum.Amount != price.MaxAmount {
		t.Errorf("sum %d", sum.Amount)
	}
}

// A spreadsheet takes no name for a formula, and every cell for what it is.
func TestNamesInSpreadsheets(t *testing.T) {
	for _, name := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "＋1", "－1", "＠x", "a,\"b\"", "!x", "|x", "%0A", "", " "} {
		for what, write := range map[string]func(*bytes.Buffer) error{
			"rows": func(b *bytes.Buffer) error {
				return WriteRows(b, Rows(Summarise([]GroupTotals{{Group{Tenant: name, Currency: "CNY"}, Totals{Attempts: 1}}}, ByTenant)), ByTenant, FormatCSV)
			},
			"lines": func(b *bytes.Buffer) error { return WriteLines(b, []Line{lineAt(noon, name, 1)}, FormatCSV) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			records, err := csv.NewReader(&b).ReadAll()
			if err != nil || len(records) != 2 {
				t.Fatalf("%s of %q: %q, %v", what, name, records, err)
			}
			cell := records[1][slices.Index(records[0], "tenant")]
			plain := strings.ReplaceAll(name, "\r", "") // as the package reads it back
			if strings.IndexAny(strings.TrimSpace(name), "=+-@＝＋－＠") == 0 {
				if cell != "'"+plain && cell != "'"+name {
					t.Errorf("%s of %q: %q is a formula", what, name, cell)
				}
			} else if cell != name {
				t.Errorf("%s of %q: %q", what, name, cell)
			}
		}
	}
}

func TestGroupKeys(t *testing.T) {
	for _, g := range []Group{
		{Day: "2026-11-28", Tenant: "a", Provider: "bc", Model: "", Currency: "CNY"},
		{Day: "2026-11-28", Tenant: "ab", Provider: "c", Model: "\x00", Currency: ""},
	} {
		if got, ok := parseGroupKey(groupKey(g)); !ok || got != g {
			t.Errorf("%+v is read as %+v", g, got)
		}
	}
	long := Group{Day: "2026-11-28", Tenant: strings.Repeat("a", 1<<16), Model: "m"}
	if got, ok := parseGroupKey(groupKey(long)); !ok || got.Tenant != long.Tenant[:1<<16-1] || got.Model != "m" {
		t.Errorf("a name of %d bytes is read as one of %d, %t", len(long.Tenant), len(got.Tenant), ok)
	}
	for _, key := range []string{"", "2026-11-28", "2026-11-28\x00\x09a", "2026-11-28\x00\x00\x00\x00\x00\x00\x00\x00x"} {
		if g, ok := parseGroupKey([]byte(key)); ok {
			t.Errorf("%q is read as %+v", key, g)
		}
	}
}
