package residency_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/residency"
)

func rules(t *testing.T, of map[string][]string) *residency.Rules {
	t.Helper()
	r, err := residency.New(of)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPermit(t *testing.T) {
	shop := map[string][]string{"shop": {"sg", "cn"}}
	for name, c := range map[string]struct {
		of             map[string][]string
		tenant, region string
		permitted      bool
	}{
		"no rules":                              {nil, "shop", "us", true},
		"no rules, a region that is not known":  {nil, "shop", "", true},
		"of the tenant":                         {shop, "shop", "cn", true},
		"of the tenant, the other":              {shop, "shop", "sg", true},
		"none of the tenant":                    {shop, "shop", "us", false},
		"a region that is not declared":         {shop, "shop", "", false},
		"a part of a name":                      {shop, "shop", "c", false},
		"another tenant":                        {shop, "bank", "us", true},
		"any tenant":                            {map[string][]string{"*": {"cn"}}, "bank", "us", false},
		"any tenant, anonymous":                 {map[string][]string{"*": {"cn"}}, "anonymous", "us", false},
		"one that is named, beside any":         {map[string][]string{"*": {"cn"}, "bank": {"us"}}, "bank", "us", true},
		"one that is named is not in any's too": {map[string][]string{"*": {"cn"}, "bank": {"us"}}, "bank", "cn", false},
	} {
		if got := rules(t, c.of).Of(c.tenant).Permit(c.region); got != c.permitted {
			t.Errorf("%s: permitted is %v", name, got)
		}
	}
}

// What two rules say together permits exactly what each permits.
func TestAnd(t *testing.T) {
	for name, c := range map[string]struct {
		a, b map[string][]string
		err  string
	}{
		"none":             {},
		"one alone":        {a: map[string][]string{"*": {"cn"}}},
		"the other alone":  {b: map[string][]string{"shop": {"cn"}}},
		"narrower":         {a: map[string][]string{"*": {"cn", "sg"}}, b: map[string][]string{"shop": {"cn"}}},
		"named and any":    {a: map[string][]string{"shop": {"cn", "us"}}, b: map[string][]string{"*": {"cn"}}},
		"named in each":    {a: map[string][]string{"shop": {"cn"}, "*": {"cn", "us"}}, b: map[string][]string{"bank": {"us"}}},
		"contradiction":    {a: map[string][]string{"shop": {"cn"}}, b: map[string][]string{"shop": {"us"}}, err: "residency shop: one permits cn and another us"},
		"any against name": {a: map[string][]string{"*": {"cn"}}, b: map[string][]string{"shop": {"us"}}, err: "residency shop: one permits cn and another us"},
	} {
		a, b := rules(t, c.a), rules(t, c.b)
		both, err := a.And(b)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, tenant := range []string{"shop", "bank", "anonymous"} {
			for _, region := range []string{"", "cn", "sg", "us"} {
				if got, want := both.Of(tenant).Permit(region), a.Of(tenant).Permit(region) && b.Of(tenant).Permit(region); got != want {
					t.Errorf("%s: tenant %s in region %q: %v", name, tenant, region, got)
				}
			}
		}
	}
}

func TestOfUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		of        map[string][]string
		permitted []string
	}{
		"no rules":       {nil, []string{"", "cn", "sg", "us"}},
		"one":            {map[string][]string{"shop": {"cn", "sg"}}, []string{"cn", "sg"}},
		"common":         {map[string][]string{"shop": {"cn", "sg"}, "*": {"sg", "us"}}, []string{"sg"}},
		"none in common": {map[string][]string{"shop": {"cn"}, "bank": {"us"}}, nil},
	} {
		for _, region := range []string{"", "cn", "sg", "us"} {
			if got := rules(t, c.of).OfUnknown().Permit(region); got != slices.Contains(c.permitted, region) {
				t.Errorf("%s: region %q is permitted: %v", name, region, got)
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		of  map[string][]string
		err string
	}{
		"no region":       {map[string][]string{"shop": {}}, "residency shop: no region is named; write residency shop <regions...>"},
		"an empty region": {map[string][]string{"shop": {""}}, `region "" is no name`},
		"a line break":    {map[string][]string{"shop": {"c\nn"}}, "is no name"},
		"no tenant":       {map[string][]string{"": {"cn"}}, "a tenant's name is empty"},
	} {
		if _, err := residency.New(c.of); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var tenants []string
	for tenant := range rules(t, map[string][]string{"shop": {"cn"}, "*": {"us"}}).All() {
		tenants = append(tenants, tenant)
	}
	if !slices.Equal(tenants, []string{"*", "shop"}) {
		t.Errorf("tenants %v", tenants)
	}
}
