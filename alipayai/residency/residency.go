// Package residency says in which regions the text of tenants' calls may be.
package residency

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// AnyTenant stands for each tenant that is not named.
const AnyTenant = "*"

// Regions are those in which something may be, sorted; nil for anywhere.
type Regions []string

// Permit reports whether it may be in that region. Where a region is not declared, which is
// the empty one, it may be only if it may be anywhere.
func (r Regions) Permit(region string) bool {
	return r == nil || region != "" && slices.Contains(r, region)
}

// And gives the regions that both permit; none, which is not nil, where they have none in common.
func (r Regions) And(other Regions) Regions {
	switch {
	case r == nil:
		return other
	case other == nil:
		return r
	}
	return slices.DeleteFunc(slices.Clone(r), func(region string) bool { return !other.Permit(region) })
}

// String names them, for an error.
func (r Regions) String() string { return strings.Join(r, ", ") }

// Rules are the regions of tenants. A nil *Rules permits any. They do not change.
type Rules struct {
	of  map[string]Regions
	any Regions
}

// New reads the regions of tenants by name; AnyTenant is that of all others. It gives nil for
// none.
func New(of map[string][]string) (*Rules, error) {
	if len(of) == 0 {
		return nil, nil
	}
	r := &Rules{of: make(map[string]Regions, len(of))}
	for tenant, names := range of {
		if tenant == "" {
			return nil, errors.New("residency: a tenant's name is empty; write residency <tenant>|* <regions...>")
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("residency %s: no region is named; write residency %s <regions...>, as residency %s cn", tenant, tenant, tenant)
		}
		for _, name := range names {
			if err := Check(name); err != nil {
				return nil, fmt.Errorf("residency %s: %w", tenant, err)
			}
		}
		r.of[tenant] = slices.Compact(slices.Sorted(slices.Values(names)))
	}
	r.any = r.of[AnyTenant]
	return r, nil
}

// Check refuses what is no name of a region.
func Check(region string) error {
	if region == "" || len(region) > 64 || strings.ContainsFunc(region, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
		return fmt.Errorf("region %q is no name of 1 to 64 characters without white space; write it like cn", region)
	}
	return nil
}

// Of gives the regions in which the text of that tenant's calls may be.
func (r *Rules) Of(tenant string) Regions {
	if r == nil {
		return nil
	}
	if regions, ok := r.of[tenant]; ok {
		return regions
	}
	return r.any
}

// OfUnknown gives the regions in which the text of a call may be whose tenant is not known yet, since it has not been
// authenticated: where that of each tenant may be.
func (r *Rules) OfUnknown() Regions {
	var all Regions
	for _, regions := range r.All() {
		all = regions.And(all)
	}
	return all
}

// All gives each tenant that is named, AnyTenant too, with its regions, in the order of the names.
func (r *Rules) All() iter.Seq2[string, Regions] {
	return func(yield func(string, Regions) bool) {
		if r == nil {
			return
		}
		for _, tenant := range slices.Sorted(maps.Keys(r.of)) {
			if !yield(tenant, r.of[tenant]) {
				return
			}
		}
	}
}

// And gives what both permit. Two that leave a tenant no region contradict each other, which is
// the error.
func (r *Rules) And(other *Rules) (*Rules, error) {
	switch {
	case r == nil:
		return other, nil
	case other == nil:
		return r, nil
	}
	both := &Rules{of: make(map[string]Regions)}
	for _, rules := range []*Rules{r, other} {
		for tenant := range rules.of {
			regions := r.Of(tenant).And(other.Of(tenant))
			if len(regions) == 0 {
				return nil, fmt.Errorf("residency %s: one permits %s and another %s, which have no region in common", tenant, r.Of(tenant), other.Of(tenant))
			}
			both.of[tenant] = regions
		}
	}
	both.any = both.of[AnyTenant]
	return both, nil
}
