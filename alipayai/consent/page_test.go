package consent

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// browserKeeps is how many bytes of a cookie's name and value browsers keep.
const browserKeeps = 4096

// An address whose cookie no browser would keep is not made, and each one that is made has a cookie that it keeps,
// whatever its parts are made of. The longest names with a return address of 1,024 bytes fit.
func TestCookieFitsABrowser(t *testing.T) {
	store := redisStore(t, redistest.Start(t))
	for name, test := range map[string]struct {
		tenant, user, state string
		returnTo            int
		tooLong             bool
	}{
		"short":             {"acme", "u", "s", 30, false},
		"the longest":       {strings.Repeat("t", 128), strings.Repeat("u", 255), strings.Repeat("s", 255), 1024, false},
		"of HTML":           {strings.Repeat("&", 128), strings.Repeat("<", 255), strings.Repeat(">", 255), 1024, false},
		"of quotes":         {strings.Repeat(`"`, 128), strings.Repeat(`"`, 255), strings.Repeat(`\`, 255), 1024, false},
		"of separators":     {"acme", strings.Repeat("\u2028", 85), strings.Repeat(`"`, 255), 1024, false},
		"an endless return": {"acme", "u", "s", 3000, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := upstream.CheckUser(test.user); err != nil {
				t.Fatal(err)
			}
			c := replica(t, &vendor{life: 3600}, store, time.Now)
			page := "https://app.example/"
			c.Page.ReturnTo = []string{page + strings.Repeat("r", test.returnTo-len(page))}
			address, _, err := c.LinkTo(test.tenant, test.user, "", test.state)
			if test.tooLong {
				if !errors.Is(err, ErrTooLong) || address != "" {
					t.Errorf("%q, %v", address, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			vendor, cookie, err := c.Begin(t.Context(), must(url.Parse(address)).Query())
			if err != nil || len(cookie.Name)+len(cookie.Value) > browserKeeps {
				t.Fatalf("a cookie of %d bytes, %v", len(cookie.Name)+len(cookie.Value), err)
			}
			state := must(url.Parse(vendor)).Query().Get("state")
			end, err := c.Finish(t.Context(), url.Values{"state": {state}, "code": {"c"}}, []*http.Cookie{cookie})
			if err != nil || end.Result != Granted || end.User != test.user || must(url.Parse(end.ReturnTo)).Query().Get("state") != test.state {
				t.Errorf("%+v, %v", end, err)
			}
		})
	}
}

// A page that a reload has taken from the list is not gone back to, at whichever step the user is: neither code nor address
// is used up by that.
func TestReturnToIsTakenOffTheList(t *testing.T) {
	store := redisStore(t, redistest.Start(t))
	v := &vendor{life: 3600}
	first, second := "https://app.example/done", "https://app.example/second"
	with := func(pages ...string) *Consents {
		c := replica(t, v, store, time.Now)
		c.Page.ReturnTo = pages
		return c
	}
	before, after := with(first, second), with(first)
	address, _, err := before.LinkTo("acme", "u", second, "")
	if err != nil {
		t.Fatal(err)
	}
	query := must(url.Parse(address)).Query()
	if _, _, err := after.Begin(t.Context(), query); !errors.Is(err, ErrLink) {
		t.Errorf("the address: %v", err)
	}
	page, cookie, err := before.Begin(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	back := url.Values{"state": {must(url.Parse(page)).Query().Get("state")}, "code": {"c"}}
	if end, err := after.Finish(t.Context(), back, []*http.Cookie{cookie}); !errors.Is(err, ErrReturn) || v.asked > 0 {
		t.Errorf("%+v, %v; %d exchanges", end, err, v.asked)
	}
	if end, err := before.Finish(t.Context(), back, []*http.Cookie{cookie}); err != nil || end.Result != Granted || !strings.HasPrefix(end.ReturnTo, second) {
		t.Errorf("where it is on the list: %+v, %v", end, err)
	}
}
