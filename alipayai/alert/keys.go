package alert

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeyExpiring says that what, a key or certificate of the provider, ends so soon. It is told again with another left,
// which is a time to warn rather than the time that is left just now.
func (m *Monitor) KeyExpiring(provider, what string, end time.Time, left time.Duration) {
	m.alerter.Resolve(KeyOverdue, provider, what+" of "+provider+" has been replaced")
	m.alerter.Update(KeyExpiring, provider, fmt.Sprintf("%s of %s has to be replaced by %s: within %s", what, provider, day(end), days(left)))
}

// KeyOverdue says that what, a key or certificate of the provider, has ended.
func (m *Monitor) KeyOverdue(provider, what string, end time.Time) {
	m.alerter.Resolve(KeyExpiring, provider, what+" of "+provider+" is overdue")
	m.alerter.Update(KeyOverdue, provider, fmt.Sprintf("%s of %s was to be replaced by %s", what, provider, day(end)))
}

// KeyFine says that no key or certificate of the provider has to be replaced soon.
func (m *Monitor) KeyFine(provider string) {
	for _, kind := range []Kind{KeyExpiring, KeyOverdue} {
		m.alerter.Resolve(kind, provider, "the keys of "+provider+" have been replaced")
	}
}

// Keys says which versions of the provider's key it has refused in traffic, and which it did not take when it was
// asked last; none where all is well.
func (m *Monitor) Keys(provider string, refused, failing []int) {
	if len(refused) > 0 {
		m.alerter.Update(KeyRefused, provider, provider+" refuses key "+versions(refused))
	} else {
		m.alerter.Resolve(KeyRefused, provider, provider+" takes the keys again")
	}
	if len(failing) > 0 {
		m.alerter.Update(KeyCheckFailing, provider, provider+" did not take key "+versions(failing)+" when it was checked")
	} else {
		m.alerter.Resolve(KeyCheckFailing, provider, "the keys of "+provider+" are taken")
	}
}

// KeysUnusable says why the keys of a provider, or those of tenants in a file, cannot be read anew; nil where they have
// been. err names the file that is wrong, and nothing that it holds.
func (m *Monitor) KeysUnusable(of string, err error) {
	if err == nil {
		m.alerter.Resolve(KeysUnusable, of, "the keys of "+of+" are read again")
		return
	}
	m.alerter.Update(KeysUnusable, of, "new keys of "+of+" are not usable, the old ones stay: "+err.Error())
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// days gives a time to warn as people say it.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return strconv.Itoa(int(math.Ceil(d.Hours()))) + " hours"
	}
	return strconv.Itoa(int(math.Ceil(d.Hours()/24))) + " days"
}

func versions(list []int) string {
	texts := make([]string, 0, len(list))
	for _, v := range slices.Sorted(slices.Values(list)) {
		texts = append(texts, strconv.Itoa(v))
	}
	return strings.Join(texts, ", ")
}
